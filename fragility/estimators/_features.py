"""The features of TRAK: gradients of the model output of each example, projected at random."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fragility.estimators._gradients import gradients_of_tests, training_gradients
from fragility.estimators._model_output import ModelOutput
from fragility.numerics.evaluate import features_of
from fragility.numerics.gradients import gradient_products
from fragility.numerics.network import Layout
from fragility.numerics.projection import Projection
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class Features:
    """The features phi (k,) of a model's examples; not projected where there is no projection."""

    model: TrainedModel
    layout: Layout
    output: ModelOutput
    projection: Projection | None

    @property
    def size(self) -> int:
        """Length k of the features."""
        return self.layout.size if self.projection is None else self.projection.dimensions

    def of_tests(self, test_points: Tensor) -> Tensor:
        """Returns the features of test examples, (T, k)."""
        scalars = self.output.scalars
        return self._projected(gradients_of_tests(self.model, self.layout, test_points, scalars))

    def second_moment(self) -> Tensor:
        """Returns Phi^T Phi / n of the training examples, (k, k); in blocks of examples."""
        total = self.model.vector(self.layout).new_zeros(self.size, self.size)
        for gradients in training_gradients(self.model, self.layout, 0, self.output.scalars):
            block = self._projected(gradients)
            total.addmm_(block.T, block)
        return total.div_(self.model.n)

    def products(self, vectors: Tensor) -> Tensor:
        """Returns the product of every training example's features with each vector (T, k), (T, n).

        The vectors are taken back to the parameters, so that no feature is computed again.
        """
        directions = vectors if self.projection is None else self.projection.back(vectors)
        return gradient_products(self.model, self.layout, directions, self.output.scalars)

    def residuals(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the residual of each example, (n,)."""
        outputs = features_of(self.model.network, self.model.parameters, inputs)
        return self.output.residuals(outputs, targets)

    def _projected(self, gradients: Tensor) -> Tensor:
        return gradients if self.projection is None else self.projection.forward(gradients)
