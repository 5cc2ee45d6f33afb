"""What published code does otherwise than the definition of a score: each departure has a name.

The defaults are the definition. A study that reproduces a paper names what its code did, and one
that asks what that did to the result sweeps the names one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators.random import fingerprint
from fragility.identity import derive_seed
from fragility.numerics.bayesian import with_log_determinant
from fragility.numerics.trained import TrainedModel


class Departures(BaseModel):
    """Departures from the definition of a score; none unless named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: ClassVar[frozenset[str]] = frozenset({"log_determinant"})

    last_layer_bias: Literal["kept", "dropped"] = "kept"
    """`dropped`: gradients and curvature are taken of a network without its last layer's bias,
    which is not the network that was trained. Of a Bayesian network, also without what an
    `additive` bias adds to the variances."""
    test_gradient: Literal["measured", "trained"] = "measured"
    """`trained`: gradients of test examples are of the loss that was trained, not of the one that
    they are measured by."""
    log_determinant: NonNegativeFloat | None = None
    """Factor of the log-determinant in an example's loss, of a Bayesian network with `objective:
    published`, where scores are not of the loss that was trained; null: that of training, the
    model's `log_determinant` over n."""
    curvature_factor: PositiveFloat = 1.0
    """What the curvature is multiplied by before damping is added: 0.097 where the sum of 59
    batches' means is divided by 608, the size of the last batch, instead of by 59."""
    divisor: Literal["n"] | PositiveFloat = "n"
    """What scores are divided by: the number n of training examples, or another one; 1 where the
    1/n is left out."""
    sign: Literal["removal", "upweighting"] = "removal"
    """`upweighting`: scores have the other sign, as if the example were counted more."""
    penalty_in_gradient: bool = False
    """Whether each training example's loss has the whole penalty added before it is differentiated;
    adds one number to all scores of a test point."""
    shuffle_seed: NonNegativeInt | None = None
    """Seed of a random order of the training examples, another for every trained model: the score
    at a position is that of the example which the order has there, as if scores made in the order
    of a shuffling loader were taken for those of the data set; null: scores stand where they
    belong."""

    def network(self, model: TrainedModel) -> TrainedModel:
        """Returns the model whose gradients and curvature are taken.

        Raises:
            MethodFailure: there is no bias to drop, or no log-determinant in the loss.
        """
        if self.log_determinant is not None:
            loss = with_log_determinant(model.loss, self.log_determinant)
            model = replace(model, loss=loss)
        if self.test_gradient == "trained":
            model = replace(model, test_loss=model.loss)
        if self.last_layer_bias == "kept":
            return model
        name = f"{model.network.last_layer}.bias"
        if name not in model.parameters:
            raise MethodFailure(
                "the last layer has no bias that could be dropped.",
                "Remove `last_layer_bias` from `departures`.",
            )
        dropped = {
            n: torch.zeros_like(value)
            for n, value in model.parameters.items()
            if n in (name, f"{name}_variance")
        }
        return replace(model, parameters={**model.parameters, **dropped})

    def unit(self, n: int) -> float:
        """Returns what products of gradients and solutions are multiplied by."""
        divisor = n if self.divisor == "n" else self.divisor
        sign = 1 if self.sign == "removal" else -1
        return sign / (divisor * self.curvature_factor)

    def placed(self, scores: Tensor, model: TrainedModel) -> Tensor:
        """Returns scores (T, n) in the columns where this departure puts them."""
        if self.shuffle_seed is None:
            return scores
        seed = derive_seed(self.shuffle_seed, "shuffled order", fingerprint(model))
        order = torch.randperm(model.n, generator=torch.Generator().manual_seed(seed))
        return scores[:, order.to(scores.device)]
