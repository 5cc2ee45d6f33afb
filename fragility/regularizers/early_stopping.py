"""Early stopping."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveInt

from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training, Watches
from fragility.training.restraints import EarlyStopping as Stop
from fragility.training.restraints import Restraints


class EarlyStopping(Regularizer):
    """Ends a training after `patience` steps (epochs of minibatches) without improvement.

    The watched loss is the training loss without the penalty, of minibatches its mean over an epoch
    or that of the epoch's last batch. The model stays as it is then; it does not go back to its
    best epoch. A retraining goes by the same loss, with a `patience` of its own where its procedure
    gives one.

    The objective stays what it is, and training ends before its minimum: influence is taken at a
    point that is not stationary, and the run says so.

    Valid when: as a question; the gradient norm at the end tells how far the minimum is.
    Cost: none; done models leave the stack.
    Reference: Prechelt 1998.
    """

    departure: ClassVar[str | None] = (
        "training is stopped before its objective's minimum, for which influence is taken"
    )
    per_model: ClassVar[bool] = True
    added: ClassVar[frozenset[str]] = frozenset({"watches"})

    kind: Literal["early_stopping"] = "early_stopping"
    patience: PositiveInt
    """Steps or epochs in a row without improvement after which a model stops."""
    threshold: NonNegativeFloat = 1e-4
    """Relative improvement over the best loss that counts."""
    watches: Watches = "epoch_mean"
    """Which loss of an epoch of minibatches counts: the mean over its batches, or the last batch's,
    whose noise ends trainings early (Lightning's `EarlyStopping`, given a `loss` that is logged in
    `training_step`, goes by it)."""

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints with early stopping."""
        stop = Stop(self.patience, self.threshold, last_batch=self.watches == "last_batch")
        return replace(restraints, early_stopping=stop)

    def objection(self, training: Training) -> str | None:
        """Returns why a training cannot be stopped so."""
        return first_order_only("`early_stopping`", training)
