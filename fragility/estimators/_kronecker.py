"""What the Kronecker-factored influence functions share."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._influence import RelativeDamping, diverged_model
from fragility.estimators.base import Estimate, ModelEstimator
from fragility.numerics.gradients import gradient_products, gradients_at_tests
from fragility.numerics.kronecker import KroneckerLayer, Labels, kronecker_curvature
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel


class KroneckerFactored(ModelEstimator):
    """An influence function whose curvature is a Kronecker product in each layer."""

    corrected: ClassVar[bool]
    """Whether eigenvalues are replaced by second moments in the eigenbasis."""

    damping: NonNegativeFloat | RelativeDamping = RelativeDamping(relative=0.1)
    """Added to every eigenvalue: a number in the unit of the Hessian of the mean loss, or
    `{relative: x}`, in each layer a multiple of its mean eigenvalue."""
    labels: Labels = "expected"
    """Labels at which gradients are taken for the curvature: the model's own in `expected` value,
    one `sampled` from the model for each example, or the `observed` training labels."""
    curvature_includes_regularization: bool = True
    """Whether the penalty's second derivative, that of a layer's weight, is part of it."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, factors and inverse."""
    seed: NonNegativeInt = 0
    """Seed of the sampled labels."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points."""
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        rhs = gradients_at_tests(model, layout, test_points)
        if not bool(torch.isfinite(rhs).all()):
            raise diverged_model()
        curvature = kronecker_curvature(
            model, layout, self.labels, self.seed, corrected=self.corrected
        )
        solved = curvature.solve(rhs, self._damping)
        if not bool(torch.isfinite(solved).all()):
            raise MethodFailure(
                "an eigenvalue of a layer's curvature plus damping is zero.",
                "Give a `damping` above 0, or add weight decay.",
            )
        scores = gradient_products(model, layout, solved) / model.n
        shares = [self._damping(layer) for layer in curvature.layers]
        values = torch.cat([layer.values.flatten() for layer in curvature.layers])
        return Estimate(
            scores,
            {
                "damping_smallest": min(shares),
                "damping_largest": max(shares),
                "curvature_top_eigenvalue": float(values.max()),
            },
        )

    def _damping(self, layer: KroneckerLayer) -> float:
        """Returns what is added to a layer's eigenvalues."""
        decay = layer.decay if self.curvature_includes_regularization else 0.0
        if isinstance(self.damping, RelativeDamping):
            return self.damping.relative * float(layer.values.mean()) + decay
        return self.damping + decay
