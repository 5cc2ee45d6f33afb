"""K-FAC and EK-FAC where they are exact, and against the Gauss-Newton matrix written out."""

from __future__ import annotations

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.exact import Exact
from fragility.estimators.kfac import KFAC
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.kronecker import Labels, kronecker_curvature
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import example
from tests.problems import trained

ALL_TEST = torch.arange(8)
KINDS = {"kfac": KFAC, "ekfac": EKFAC}


def mlp(task: str = "classification") -> TrainedModel:
    return trained(MLP(hidden=(4,), activation="tanh"), task, WeightDecay(strength=0.05))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_least_squares_is_exact(kind: str, outputs: int) -> None:
    """The Hessian of least squares is 2 I x E[a a^T]: a Kronecker product in itself."""
    model = trained(Linear(), "regression", WeightDecay(strength=0.1), outputs=outputs)
    exact = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    found = KINDS[kind](damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-11)


def layer_block(model: TrainedModel, name: str, kind: str) -> torch.Tensor:
    """The curvature of one layer, from its dense matrix, in the order (k, d) with the bias last."""
    layout = model.network.layout.restrict([f"{name}.weight", f"{name}.bias"])
    matrix = CurvatureMatrix(model, layout, kind, includes_regularization=False).dense()  # type: ignore[arg-type]
    weight = layout.shapes[0]
    k, d = weight[0], weight[1:].numel()
    order = [i * d + j if j < d else k * d + i for i in range(k) for j in range(d + 1)]
    return matrix[order][:, order]


@pytest.mark.parametrize("labels", ["expected", "observed"])
@pytest.mark.parametrize("name", ["mlp", "convolution", "pooling"])
def test_corrected_eigenvalues_are_the_diagonal_in_the_kronecker_basis(
    name: str, labels: Labels
) -> None:
    model = mlp() if name == "mlp" else example(name)
    curvature = "gauss_newton" if labels == "expected" else "empirical_fisher"
    layout = model.network.layout
    layers = kronecker_curvature(model, layout, labels, 0, corrected=True).layers
    assert {layer.name for layer in layers} == {n.rpartition(".")[0] for n in layout.names}
    for layer in layers:
        if f"{layer.name}.bias" not in layout.names:
            continue
        block = layer_block(model, layer.name, curvature)
        basis = torch.kron(layer.outputs, layer.inputs)
        rotated = basis.T @ block @ basis
        torch.testing.assert_close(
            layer.values.flatten(), rotated.diagonal(), rtol=1e-9, atol=1e-13
        )
        # No other basis of Kronecker form is asked for, but the trace has to be kept.
        assert float(layer.values.sum()) == pytest.approx(float(block.trace()), rel=1e-9)


def test_the_factors_of_a_dense_layer_written_out() -> None:
    model = mlp()
    layers = kronecker_curvature(model, model.network.layout, "expected", 0, corrected=False).layers
    W, b = model.parameters["1.weight"], model.parameters["1.bias"]
    V = model.parameters["3.weight"]
    hidden = torch.tanh(model.inputs @ W.T + b)
    p = torch.softmax(hidden @ V.T + model.parameters["3.bias"], dim=1)
    S = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    a = torch.cat([model.inputs, torch.ones(model.n, 1, dtype=p.dtype)], dim=1)
    slope = 1 - hidden.square()
    J = V * slope.unsqueeze(1)
    inputs = a.T @ a / model.n
    outputs = torch.einsum("nic,nij,njd->cd", J, S, J) / model.n
    first = layers[0]
    # opt_einsum, where it is installed, leaves strides that `kron` cannot view.
    wanted = torch.kron(outputs.contiguous(), inputs)
    basis = torch.kron(first.outputs, first.inputs)
    found = (basis * first.values.flatten()) @ basis.T
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_of_a_last_layer_written_out(kind: str) -> None:
    """One layer, so that the score is g_t^T (Q diag(values + damping + decay) Q^T)^-1 g_i / n."""
    model = mlp()
    layout = model.network.select("last_layer")
    estimator = KINDS[kind](parameters="last_layer", damping=0.02)
    found = estimator.estimate(model, ALL_TEST).scores
    (layer,) = kronecker_curvature(model, layout, "expected", 0, corrected=kind == "ekfac").layers
    hidden = torch.tanh(model.inputs @ model.parameters["1.weight"].T + model.parameters["1.bias"])
    test = torch.tanh(
        model.test_inputs @ model.parameters["1.weight"].T + model.parameters["1.bias"]
    )

    def gradients(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = features @ model.parameters["3.weight"].T + model.parameters["3.bias"]
        delta = torch.softmax(logits, dim=1) - torch.nn.functional.one_hot(targets, 3)
        rows = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)
        return torch.einsum("nk,nd->nkd", delta, rows).flatten(1)

    basis = torch.kron(layer.outputs, layer.inputs)
    inverse = (basis / (layer.values.flatten() + 0.02 + 0.05)) @ basis.T
    wanted = gradients(test, model.test_targets) @ inverse
    wanted = wanted @ gradients(hidden, model.targets).T / model.n
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-11)


def test_sampled_labels_have_the_expected_second_moments() -> None:
    model = mlp()
    layout = model.network.layout
    expected = kronecker_curvature(model, layout, "expected", 0, corrected=False).layers[1]
    basis = torch.kron(expected.outputs, expected.inputs)
    wanted = (basis * expected.values.flatten()) @ basis.T
    drawn = []
    for seed in range(200):
        layer = kronecker_curvature(model, layout, "sampled", seed, corrected=False).layers[1]
        own = torch.kron(layer.outputs, layer.inputs)
        drawn.append((own * layer.values.flatten()) @ own.T)
    stacked = torch.stack(drawn)
    error = (stacked.mean(dim=0) - wanted).abs()
    standard = stacked.std(dim=0) / len(drawn) ** 0.5
    assert float((error / standard.clamp(min=1e-12)).max()) < 4.5


def test_relative_damping_is_a_share_of_each_layers_mean_eigenvalue() -> None:
    model = mlp()
    found = EKFAC().estimate(model, ALL_TEST)
    layers = kronecker_curvature(model, model.network.layout, "expected", 0, corrected=True).layers
    means = [0.1 * float(layer.values.mean()) + 0.05 for layer in layers]
    assert found.diagnostics["damping_smallest"] == pytest.approx(min(means))
    assert found.diagnostics["damping_largest"] == pytest.approx(max(means))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_have_no_factors_are_named(kind: str) -> None:
    model = example("normalized")
    with pytest.raises(MethodFailure, match=r"`2\.weight`, `2\.bias` are not"):
        KINDS[kind]().estimate(model, torch.arange(4))
    only = KINDS[kind](parameters=("1.*", "4.*"))
    assert bool(torch.isfinite(only.estimate(model, torch.arange(4)).scores).all())
