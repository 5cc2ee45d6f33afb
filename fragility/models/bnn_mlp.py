"""The Bayesian multilayer perceptron."""

from __future__ import annotations

from typing import Literal

from torch import nn

from fragility.method import canonical
from fragility.models._bayesian import Bayesian
from fragility.models._layers import Initialization
from fragility.models.mlp import MLP


class BayesianMLP(MLP, Bayesian):
    """A fully connected network with Gaussian weights, fitted by propagating their moments.

    Each weight has a mean w and a variance v = softplus(rho), so that there are twice the
    parameters of an `mlp`. Inputs of means m and variances s leave an affine layer with means
    W m + b and variances v m^2 + (v + w^2) s, exact for independent entries; an activation f makes
    them f(m) and f'(m)^2 s, the softmax p and (dp/dm)^2 s, to first order. The correlations that
    entries of one layer have from the second layer on are left out.

    The objective is (1/n) sum_i -log N(y_i; p_i, diag(s_i) + noise I) + KL(weights || N(0, I)) / n,
    with y_i 1 at the right class. The KL term is a penalty: its second derivative is part of the
    curvature, and it keeps its 1/n when an example is removed. Test examples are measured by the
    cross-entropy of the means. `docs/bayesian.md` says more.

    Valid when: variances are small enough for first order; as for every network, influence
        functions need a smooth activation and a trained optimum.
    Cost: three products of matrices where an `mlp` has one.
    Reference: Epifano et al. 2023, equations 3 to 14; Dera et al. 2021, "PremiUm-CNN".
    """

    kind: Literal["bnn_mlp"] = "bnn_mlp"  # type: ignore[assignment]
    initialization: Initialization = "xavier_normal"
    """Initial means: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""

    def identity(self) -> dict[str, object]:  # type: ignore[override]
        """Returns the identity, the same however the widths are written."""
        own = {name: canonical(getattr(self, name)) for name in Bayesian.model_fields}
        return {**own, **super().identity()}

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the layers of an `mlp`, handing on moments."""
        return self.bayesian(super().build(input_shape, outputs))
