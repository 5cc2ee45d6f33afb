"""The estimators: scores from a trained model, without retraining."""

from fragility.estimators.base import ESTIMATORS as ESTIMATORS
from fragility.estimators.base import Estimate as Estimate
from fragility.estimators.base import Estimator as Estimator
from fragility.estimators.base import ModelEstimator as ModelEstimator
from fragility.estimators.base import installation as installation
