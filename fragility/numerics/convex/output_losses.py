"""The losses of affine models: values, residuals and curvature products in the outputs, in place.

Outputs lie as (K, c, n), the examples along the last axis: K models, c outputs, n examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class OutputLoss(ABC):
    """A convex loss as a function of the outputs alone."""

    quadratic = False
    """Whether the loss is quadratic in the outputs, so that one Newton step is the last."""

    @abstractmethod
    def linearize(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses (K, n), their gradient in the outputs (K, c, n), and what `product` needs.

        Overwrites `outputs`.
        """

    @abstractmethod
    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns the Hessian of each example's loss times `tangent` (K, c, n), overwriting it."""

    @abstractmethod
    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns entry (a, b) of each example's Hessian (n,), of one model; None where it is 0."""


class CrossEntropy(OutputLoss):
    """-log softmax(outputs)[target]; its curvature is diag(p) - p p^T."""

    def linearize(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses, p less one for the target, and p."""
        index = targets.expand(outputs.shape[0], 1, -1)
        outputs -= outputs.amax(dim=1, keepdim=True)
        chosen = outputs.gather(1, index)
        p = outputs.exp_()
        total = p.sum(dim=1, keepdim=True)
        losses = (total.log() - chosen).squeeze(1)
        p /= total
        # 1 - p of the target, as the sum of the others: no digits cancel when the model is sure.
        residual = p.scatter(1, index, 0.0)
        residual.scatter_(1, index, -residual.sum(dim=1, keepdim=True))
        return losses, residual, p

    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns p * (tangent - its mean under p)."""
        mean = (curvature * tangent).sum(dim=1, keepdim=True)
        return tangent.sub_(mean).mul_(curvature)

    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns p_a (1 - p_a), or -p_a p_b."""
        p, q = curvature[0, a], curvature[0, b]
        return p * (1 - p) if a == b else -p * q


class SquaredError(OutputLoss):
    """The sum over outputs of (prediction - target)^2, without 1/2; its curvature is 2 I."""

    quadratic = True

    def linearize(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses, twice the differences, and 2."""
        outputs -= targets.T
        losses = outputs.square().sum(dim=1)
        return losses, outputs.mul_(2), outputs.new_full((len(outputs), 1, 1), 2.0)

    def product(self, curvature: Tensor, tangent: Tensor) -> Tensor:
        """Returns twice the tangent."""
        return tangent.mul_(curvature)

    def entry(self, curvature: Tensor, a: int, b: int) -> Tensor | None:
        """Returns 2 on the diagonal."""
        return curvature[0, 0] if a == b else None


OUTPUT_LOSSES: dict[str, OutputLoss] = {
    "cross_entropy": CrossEntropy(),
    "squared_error": SquaredError(),
}
"""The losses by name of `fragility.numerics.losses`."""
