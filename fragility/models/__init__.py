"""The models: what a study may train."""

from fragility.models.base import MODELS as MODELS
from fragility.models.base import Model as Model
