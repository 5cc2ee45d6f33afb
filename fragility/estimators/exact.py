"""Influence functions with the dense curvature matrix."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators.base import Estimate, Estimator
from fragility.numerics.derivatives import (
    Curvature,
    block_rows,
    curvature_matrix,
    per_example_gradients,
)
from fragility.numerics.trained import TrainedModel


class Exact(Estimator):
    """Influence functions, with the curvature matrix written out and diagonalized.

    The score is (1/n) grad f_t^T (H + damping I)^-1 grad l_i, with H the Hessian (or Gauss-Newton
    matrix) of the objective, its regularization included. An indefinite H is inverted as it is:
    its negative eigenvalues are counted and stored beside the scores as diagnostics.

    Valid when: the model is at a minimum of its objective and H + damping I is positive definite.
    Cost: about 2 P gradients of all examples, P^2 numbers of memory, P^3 operations.
    Reference: Koh and Liang 2017, equation 2; Cook and Weisberg 1982.
    """

    kind: Literal["exact"] = "exact"
    curvature: Curvature = "hessian"
    """The objective's Hessian, or its Gauss-Newton part, which has no negative eigenvalue."""
    damping: NonNegativeFloat = 0.0
    """Added to every eigenvalue, in the unit of the Hessian of the mean loss."""
    curvature_includes_regularization: bool = True
    """Whether the penalty's second derivative is part of H."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, curvature and inverse."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores, with the spectrum's ends and its negative count as diagnostics."""
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        layout = model.network.select(self.parameters)
        matrix = curvature_matrix(
            model, layout, self.curvature, self.curvature_includes_regularization
        )
        if not bool(torch.isfinite(matrix).all()):
            raise MethodFailure(
                "the curvature matrix is not finite: the trained model has diverged.",
                "Lower the learning rate, or add weight decay.",
            )
        eigenvalues, vectors = torch.linalg.eigh(matrix)
        test = per_example_gradients(
            model, layout, model.test_inputs[test_points], model.test_targets[test_points]
        )
        solved = ((test @ vectors) / (eigenvalues + self.damping)) @ vectors.T / model.n
        rows = block_rows(model, 4 * layout.size)
        scores = torch.cat(
            [
                solved @ per_example_gradients(model, layout, x, y).T
                for x, y in model.train_blocks(rows)
            ],
            dim=1,
        )
        if not bool(torch.isfinite(scores).all()):
            raise MethodFailure(
                "the curvature matrix is singular: an eigenvalue plus damping is zero.",
                "Give a `damping` above 0, or add weight decay.",
            )
        return Estimate(scores, _spectrum(eigenvalues, self.damping))


def _spectrum(eigenvalues: Tensor, damping: float) -> dict[str, float]:
    damped = (eigenvalues + damping).abs()
    return {
        "curvature_top_eigenvalue": float(eigenvalues[-1]),
        "curvature_bottom_eigenvalue": float(eigenvalues[0]),
        "curvature_negative_eigenvalues": float((eigenvalues < 0).sum()),
        "curvature_condition_number": float(damped.max() / damped.min()),
        "damping": damping,
    }
