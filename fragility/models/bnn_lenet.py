"""The Bayesian LeNet-5."""

from __future__ import annotations

from typing import Literal

from torch import nn

from fragility.models._bayesian import Bayesian
from fragility.models._layers import Initialization
from fragility.models.lenet import LeNet


class BayesianLeNet(LeNet, Bayesian):
    """LeNet-5 with Gaussian weights, fitted by propagating their moments.

    The layers of `lenet` and the moments and objective of `bnn_mlp`: twice the parameters of a
    `lenet`, or fewer with one variance a filter. A convolution adds up the variances of what its
    window holds; average pooling divides their sum by the square of the window's size, max pooling
    takes the variance at the winner's place.

    Valid when: variances are small enough for first order; examples are images of at least 16 x 16
        once padded.
    Cost: three convolutions where a `lenet` has one.
    Reference: Epifano et al. 2023, equations 3 to 14; Dera et al. 2021, "PremiUm-CNN".
    """

    kind: Literal["bnn_lenet"] = "bnn_lenet"  # type: ignore[assignment]
    initialization: Initialization = "xavier_normal"
    """Initial means: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""
    rho: tuple[float, float] = (-5.0, -4.0)
    """Initial `weight_rho` and `bias_rho` are uniform between these; a variance is softplus(rho).
    From variances as large as those of `bnn_mlp` so many layers are not trained."""
    filter_variances: Literal["each", "shared"] = "each"
    """Each weight of a filter has a variance of its own, or all share one, as in the code of
    Epifano et al."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the layers of a `lenet`, handing on moments."""
        shared = self.filter_variances == "shared"
        return self.bayesian(super().build(input_shape, outputs), shared=shared)
