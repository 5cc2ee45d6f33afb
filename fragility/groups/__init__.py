"""The groupings: which groups of training points a procedure removes together."""

from fragility.groups.base import GROUPS as GROUPS
from fragility.groups.base import Grouping as Grouping
