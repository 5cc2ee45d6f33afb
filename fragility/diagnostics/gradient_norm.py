"""The norm of the gradient of the objective."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fragility.diagnostics.base import Diagnostic, Fact, Findings
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.squares import square_products
from fragility.numerics.trained import TrainedModel


class GradientNorm(Diagnostic):
    """The Euclidean norm of the gradient of the objective, penalty included, in float64.

    Influence functions take it to be zero. `example_gradient_norm` is to compare it with: the
    mean norm of one example's share, its gradient over n, which is what a removal takes away.
    When they are alike, retraining mostly goes on training.

    Valid when: always.
    Cost: two gradients of all examples.
    """

    revision: ClassVar[int] = 2
    asks_spectrum: ClassVar[bool] = False
    kind: Literal["gradient_norm"] = "gradient_norm"

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> Findings:
        """Returns the norm, and the mean norm of one example's share."""
        layout = model.network.layout
        ones = torch.ones_like(model.vector(layout)[None])
        share = float(square_products(model, layout, ones).sqrt().mean()) / model.n
        return Findings(
            (
                Fact(self.kind, float(model.mean_gradient(layout).norm())),
                Fact("example_gradient_norm", share, "mean over training examples"),
            )
        )
