"""The regularizers: what is added to the mean loss."""

from fragility.regularizers.base import REGULARIZERS as REGULARIZERS
from fragility.regularizers.base import Regularizer as Regularizer
