"""Label smoothing."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fragility.numerics.losses import Loss, smoothed
from fragility.regularizers.base import Regularizer


class LabelSmoothing(Regularizer):
    """Trains on targets of 1 - rate, with `rate` spread evenly over all classes.

    As torch's `CrossEntropyLoss(label_smoothing=rate)`. The objective is the mean of that loss, and
    influence takes its gradients of training examples; test examples are measured by the plain
    cross-entropy, on both sides of an effect and of a score. The curvature in the outputs is the
    plain loss's.

    Valid when: the task is classification.
    Cost: none.
    Reference: Szegedy et al. 2016, section 7.
    """

    of_objective: ClassVar[bool] = True

    kind: Literal["label_smoothing"] = "label_smoothing"
    rate: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target that is spread over all classes."""

    def loss(self, loss: Loss) -> Loss:
        """Returns the smoothed loss."""
        return smoothed(loss, self.rate) if self.rate else loss

    def refusal(self, task: str, input_shape: tuple[int, ...]) -> str | None:
        """Returns why a regression has no labels to smooth."""
        if task == "classification":
            return None
        return f"`label_smoothing` is for classification; this data is {task}."
