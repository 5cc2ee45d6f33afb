"""Clipping of gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import PositiveFloat

from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training
from fragility.training.restraints import Restraints


class GradientClipping(Regularizer):
    """Shortens the gradient of a step to a largest norm, as torch's `clip_grad_norm_`.

    The gradient is that of the whole objective, penalty included, in the trained coordinates of
    each model. The objective and its stationary points stay what they are: near an optimum nothing
    is clipped, on full batches; of minibatches the mean step may no longer be along the gradient.

    Valid when: the norm is large against that of a batch's gradient at the end of training.
    Cost: none.
    Reference: Pascanu, Mikolov and Bengio 2013; torch.nn.utils.clip_grad_norm_.
    """

    per_model: ClassVar[bool] = True

    kind: Literal["gradient_clipping"] = "gradient_clipping"
    norm: PositiveFloat
    """Largest norm of the gradient of a step."""

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints with clipping."""
        return replace(restraints, clipping=self.norm)

    def objection(self, training: Training) -> str | None:
        """Returns why a training takes no clipped gradient."""
        return first_order_only("`gradient_clipping`", training)
