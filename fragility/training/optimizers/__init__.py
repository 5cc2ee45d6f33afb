"""The optimizers, each of which moves a whole stack of models at once."""

from fragility.training.optimizers.base import OPTIMIZERS as OPTIMIZERS
from fragility.training.optimizers.base import FirstOrder as FirstOrder
from fragility.training.optimizers.base import Optimizer as Optimizer
from fragility.training.optimizers.base import Stepper as Stepper
