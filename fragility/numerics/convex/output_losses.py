"""The losses of affine models: values, residuals and curvature products in the outputs, in place.

Outputs lie as (c, K, n), the examples along the last axis: c outputs, K models, n examples. What is
summed over the outputs is then a sum of whole rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class OutputLoss(ABC):
    """A convex loss as a function of the outputs alone."""

    quadratic = False
    """Whether the loss is quadratic in the outputs, so that one Newton step is the last."""
    ignores_common_shift = False
    """Whether adding one number to all outputs changes nothing."""

    @abstractmethod
    def linearize(
        self, outputs: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns weighted losses (K,), their slopes (c, K, n), and what `product` needs.

        Overwrites `outputs`, which may be the same for all models: (c, 1, n). `weights` (K, n).
        """

    @abstractmethod
    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns the Hessian of each example's loss times `tangent` (c, K, n), overwriting it."""

    @abstractmethod
    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns entry (a, b) of each example's Hessian (n,), of one model; None where it is 0."""


class CrossEntropy(OutputLoss):
    """-log softmax(outputs)[target]; its curvature is diag(p) - p p^T."""

    ignores_common_shift = True

    def linearize(
        self, outputs: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses, p less one for the target, and p."""
        outputs -= outputs.amax(dim=0)
        index = targets.expand(1, outputs.shape[1], -1)
        chosen = outputs.gather(0, index)[0]
        p = outputs.exp_()
        total = p.sum(dim=0)
        p /= total
        losses = (weights * (total.log_() - chosen)).sum(dim=1)
        slopes = p * weights
        slopes.scatter_add_(0, targets.expand(1, len(weights), -1), -weights.unsqueeze(0))
        return losses, slopes, p

    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns p * (tangent - its mean under p)."""
        tangent *= curvature
        return tangent.addcmul_(curvature, tangent.sum(dim=0), value=-1)

    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns p_a (1 - p_a), or -p_a p_b."""
        p, q = curvature[a, 0], curvature[b, 0]
        return p * (1 - p) if a == b else -p * q


class SquaredError(OutputLoss):
    """The sum over outputs of (prediction - target)^2, without 1/2; its curvature is 2 I."""

    quadratic = True

    def linearize(
        self, outputs: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses, twice the differences, and 2."""
        outputs -= targets.T.unsqueeze(1)
        losses = (weights * outputs.square().sum(dim=0)).sum(dim=1)
        return losses, outputs * (2 * weights), outputs.new_full((1, 1, 1), 2.0)

    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns twice the tangent."""
        return tangent.mul_(2)

    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns 2 on the diagonal."""
        return curvature[0, 0] if a == b else None


OUTPUT_LOSSES: dict[str, OutputLoss] = {
    "cross_entropy": CrossEntropy(),
    "squared_error": SquaredError(),
}
"""The losses by name of `fragility.numerics.losses`."""
