"""The regularizers: what is added to the mean loss, and what keeps training from its minimum."""

from fragility.regularizers.base import REGULARIZERS as REGULARIZERS
from fragility.regularizers.base import Regularization as Regularization
from fragility.regularizers.base import Regularizer as Regularizer
