"""Weight decay: an L2 penalty that is part of the objective."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat

from fragility.numerics.network import Layout
from fragility.regularizers.base import Regularizer


class WeightDecay(Regularizer):
    """Adds (strength/2) ||theta||^2 to the mean loss, the convention of torch's optimizers.

    The gradient gains strength x theta and the Hessian strength x I, the same as `weight_decay` of
    torch's Adam or SGD (coupled, not AdamW's). Estimators count it in the curvature unless told
    `curvature_includes_regularization: false`.

    Valid when: always.
    Cost: none.
    """

    kind: Literal["weight_decay"] = "weight_decay"
    strength: NonNegativeFloat
    """Strength s of (s/2) ||theta||^2."""
    parameters: Literal["all", "weights"] = "all"
    """`all` parameters with their biases, or `weights` alone (parameters of two or more axes)."""

    def decay(self, layout: Layout) -> dict[str, float]:
        """Returns the strength of every penalized parameter, zero for the others."""
        return {
            name: self.strength if self.parameters == "all" or len(shape) > 1 else 0.0
            for name, shape in zip(layout.names, layout.shapes, strict=True)
        }
