"""The learning-rate schedules, each of which keeps one rate for every model of a stack."""

from fragility.training.schedules.base import SCHEDULES as SCHEDULES
from fragility.training.schedules.base import Rates as Rates
from fragility.training.schedules.base import Schedule as Schedule
