"""The procedures: how the effect of a removal is measured."""

from fragility.procedures._replicates import TargetReliability as TargetReliability
from fragility.procedures.base import PROCEDURES as PROCEDURES
from fragility.procedures.base import Chosen as Chosen
from fragility.procedures.base import Procedure as Procedure
from fragility.procedures.base import Removal as Removal
