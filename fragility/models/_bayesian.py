"""What Bayesian networks share: the variances of their weights, and the objective they bring."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, field_validator, model_validator
from torch import nn

from fragility.errors import UsageError
from fragility.models._moments import Bias, with_moments
from fragility.models.base import Model
from fragility.numerics.bayesian import (
    PRIOR_OF_MEANS,
    PRIOR_OF_VARIANCES,
    expected_loss,
    loss_of_means,
    published_loss,
)
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout
from fragility.numerics.penalties import Penalty


class Bayesian(Model):
    """A network whose weights are independent Gaussians, with the objective that fits them.

    Means `weight` and variances softplus(`weight_rho`) go through the network together; its outputs
    are k means and k variances. The fields of the objective are read by `loss` and `penalties`.
    """

    rho: tuple[float, float] = (0.0, 5.0)
    """Initial `weight_rho` and `bias_rho` are uniform between these; a variance is softplus(rho).
    Those of Epifano et al. are 0.7 to 5; `[-5, -4]` begins with small ones."""
    biases: Bias = "gaussian"
    """Biases are Gaussian as weights are, `deterministic`, or, as in the code of Epifano et al.,
    certain, with a number `bias_variance` that is added to the variance as it is (`additive`)."""
    softmax: Literal["jacobian", "diagonal"] = "jacobian"
    """A probability's variance to first order, from those of all logits, or with the other logits
    fixed, (p (1 - p))^2 times its own logit's: `diagonal`, as Epifano et al. do."""
    objective: Literal["elbo", "published"] = "elbo"
    """The mean of -log N(target; means, variances + noise) and KL(weights || N(0, 1)) / n; or, as
    in the code of Epifano et al. divided by n, errors and variances of all classes mixed, variances
    through a softplus, the KL term of weights alone and over the number of a layer's outputs."""
    noise: PositiveFloat = 0.01
    """Variance that `elbo` adds to each output's: that of the targets themselves. Without it
    a confident model's likelihood has no bound."""
    log_determinant: NonNegativeFloat = 1.0
    """Factor of the mean log-determinant in `published` (their alpha)."""
    divergence: NonNegativeFloat | tuple[NonNegativeFloat, ...] = 1.0
    """Factor of the KL term (their tau), or one for each layer with weights, first to last (their
    tau times beta)."""
    test_loss: Literal["cross_entropy", "double_softmax"] = "cross_entropy"
    """Loss of test examples: of the softmax of the means, or of the softmax taken twice, as Epifano
    et al. do. Numbers have the squared error of the means."""

    @field_validator("rho")
    @classmethod
    def _rho_is_a_range(cls, rho: tuple[float, float]) -> tuple[float, float]:
        if rho[0] > rho[1]:
            raise ValueError("give the lower end first")
        return rho

    @model_validator(mode="after")
    def _objective_has_what_is_given(self) -> Bayesian:
        foreign = "log_determinant" if self.objective == "elbo" else "noise"
        if getattr(self, foreign) != type(self).model_fields[foreign].default:
            raise ValueError(f"`objective: {self.objective}` has no `{foreign}`")
        return self

    @model_validator(mode="after")
    def _objective_bears_the_variances(self) -> Bayesian:
        if self.biases == "additive" and self.objective == "elbo":
            raise ValueError(
                "`biases: additive` can make a variance negative, and its logarithm is part of "
                "`elbo`: use `objective: published`, or other biases"
            )
        return self

    @property
    def convex_last_layer(self) -> bool:
        """A likelihood of means and variances is convex in neither."""
        return False

    def bayesian(self, module: nn.Module, *, shared: bool = False) -> nn.Module:
        """Returns the network of moments with a deterministic network's values as means."""
        assert isinstance(module, nn.Sequential)
        network = with_moments(module, self.biases, shared=shared)
        for name, parameter in network.named_parameters():
            if name.endswith("_rho"):
                nn.init.uniform_(parameter, *self.rho)
        return network

    def loss(self, task: str, n: int) -> Loss:
        """Returns the loss of an example; `published` is divided by n, the sum it makes there."""
        off_diagonal = self.softmax == "jacobian"
        if self.objective == "elbo":
            return expected_loss(task, self.noise, off_diagonal)
        return published_loss(task, self.log_determinant / n, off_diagonal)

    def measured(self, task: str) -> Loss:
        """Returns the loss of test examples, which reads means alone."""
        return loss_of_means(task, twice=self.test_loss == "double_softmax")

    def penalties(self, layout: Layout, n: int) -> tuple[Penalty, ...]:
        """Returns the KL term of means and of variances, over n.

        Raises:
            UsageError: `divergence` has not one factor for each layer.
        """
        shapes = dict(zip(layout.names, layout.shapes, strict=True))
        layers = [name.removesuffix("_rho") for name in shapes if name.endswith("weight_rho")]
        factors = self._factors(len(layers))
        of_means: dict[str, float] = {}
        of_variances: dict[str, float] = {}
        for weight, factor in zip(layers, factors, strict=True):
            shape = shapes[weight]
            sharing = prod(shape) / prod(shapes[f"{weight}_rho"])
            published = self.objective == "published"
            if published:
                # Their code counts a filter's variance once a row of its window.
                sharing = (1 if sharing == 1 else shape[-1]) / shape[0]
            of_means[weight] = factor / n
            of_variances[f"{weight}_rho"] = factor / n * sharing
            bias = f"{weight.removesuffix('weight')}bias"
            if f"{bias}_rho" in shapes and not published:
                of_means[bias] = of_variances[f"{bias}_rho"] = factor / n
        return (Penalty(PRIOR_OF_MEANS, of_means), Penalty(PRIOR_OF_VARIANCES, of_variances))

    def _factors(self, layers: int) -> tuple[float, ...]:
        if not isinstance(self.divergence, tuple):
            return (self.divergence,) * layers
        if len(self.divergence) != layers:
            raise UsageError(
                f"`divergence` has {len(self.divergence)} factors, and the model `{self.kind}` has "
                f"{layers} layers with weights.",
                "Give one number for all, or one for each layer.",
            )
        return self.divergence
