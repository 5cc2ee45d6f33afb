"""Bayesian networks against sampled weights, deterministic networks, loops and gradcheck."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from fragility.models._moments import Bias, GaussianAffine, MomentAveragePool, MomentMaxPool
from fragility.models.base import Model
from fragility.models.bnn_lenet import BayesianLeNet
from fragility.models.bnn_mlp import BayesianMLP
from fragility.models.lenet import LeNet
from fragility.models.mlp import MLP
from fragility.numerics.fused_forward import says_how, stacked_outputs
from fragility.numerics.network import Network

Values = dict[str, Tensor]


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("model", "shape", "outputs", "parameters"),
    [
        (BayesianMLP(width=5, depth=1), (4,), 3, 86),
        (BayesianMLP(width=5, depth=8), (4,), 3, 506),
        (BayesianMLP(width=50, depth=1), (4,), 3, 806),
        (BayesianMLP(width=5, depth=1, biases="deterministic"), (4,), 3, 78),
        (BayesianMLP(width=5, depth=1, biases="additive", objective="published"), (4,), 3, 86),
        (BayesianLeNet(), (1, 28, 28), 10, 2 * 61_706),
        (BayesianLeNet(filter_variances="shared"), (1, 28, 28), 10, 2 * 61_706 - 150 - 2400 + 22),
    ],
)
def test_there_are_twice_the_parameters(
    model: Model, shape: tuple[int, ...], outputs: int, parameters: int
) -> None:
    network = model.network(shape, outputs)
    assert network.layout.size == parameters
    values = model.initial(shape, outputs, 0, torch.float32)
    assert network(values, torch.zeros(2, *shape)).shape == (2, 2 * outputs)
    last = network.last_layer
    assert network.select("last_layer_weight").names == (f"{last}.weight",)
    parts = network.split(network.select("last_layer"))
    assert parts is not None
    first, rest = ({n: values[n] for n in part.layout.names} for part in parts)
    found = parts[1](rest, parts[0](first, torch.ones(2, *shape)))
    torch.testing.assert_close(found, network(values, torch.ones(2, *shape)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("model", "plain", "shape"),
    [
        (
            BayesianMLP(hidden=(4, 3), activation="selu"),
            MLP(hidden=(4, 3), activation="selu"),
            (5,),
        ),
        (BayesianLeNet(width=0.3), LeNet(width=0.3), (1, 28, 28)),
        (
            BayesianLeNet(width=0.3, pooling="max", filter_variances="shared"),
            LeNet(width=0.3, pooling="max"),
            (3, 20, 17),
        ),
    ],
    ids=["mlp", "average", "max"],
)
def test_means_are_the_outputs_of_the_network_with_mean_weights(
    model: Model, plain: Model, shape: tuple[int, ...]
) -> None:
    network, other = model.network(shape, 3), plain.network(shape, 3)
    values = model.initial(shape, 3, 0, torch.float64)
    inputs = draws(0, 4, *shape)
    found = network(values, inputs)
    expected = other({name: values[name] for name in other.layout.names}, inputs)
    torch.testing.assert_close(found[:, :3], expected, rtol=1e-12, atol=1e-14)
    assert float(found[:, 3:].min()) > 0
    certain = {n: v - 1000.0 if n.endswith("_rho") else v for n, v in values.items()}
    assert float(network(certain, inputs)[:, 3:].abs().max()) == 0


def sampled(values: Values, scale: float, size: int) -> Values:
    """Weights of a network of one hidden layer, drawn from variances `scale` times as large."""
    found: Values = {}
    for seed, name in enumerate(sorted(n for n in values if not n.endswith("_rho"))):
        deviation = (scale * functional.softplus(values[f"{name}_rho"])).sqrt()
        found[name] = values[name] + deviation * draws(seed, size, *values[name].shape)
    return found


def scaled(values: Values, scale: float) -> Values:
    def inverse_softplus(variance: Tensor) -> Tensor:
        return torch.log(torch.expm1(variance))

    return {
        name: inverse_softplus(scale * functional.softplus(value)) if "rho" in name else value
        for name, value in values.items()
    }


def test_one_layer_has_the_moments_of_sampled_weights() -> None:
    layer = GaussianAffine(nn.Linear(3, 2), certain=True, bias="gaussian").double()
    nn.init.uniform_(layer.weight_rho, -1, 1)
    nn.init.uniform_(layer.bias_rho, -1, 1)
    size, inputs = 200_000, draws(0, 1, 3)
    values = {name: p.detach() for name, p in layer.named_parameters()}
    weights = sampled(values, 1.0, size)
    samples = (weights["weight"] @ inputs[0]) + weights["bias"]
    mean, variance = layer(inputs).detach()[0]
    error = (variance / size).sqrt()
    assert float(((samples.mean(dim=0) - mean) / error).abs().max()) < 4
    # The outputs are Gaussian: a sample variance errs by sqrt(2 / size) of itself.
    assert float(((samples.var(dim=0) / variance - 1) * (size / 2) ** 0.5).abs().max()) < 4


HIDDEN = BayesianMLP(hidden=(4,), activation="tanh", rho=(-2, -1))


def test_a_network_has_about_the_moments_of_sampled_weights() -> None:
    network, values = HIDDEN.network((3,), 2), HIDDEN.initial((3,), 2, 3, torch.float64)
    inputs, size, scale = 0.7 * draws(0, 1, 3), 400_000, 1 / 256
    weights = sampled(values, scale, size)
    hidden = torch.tanh(weights["1.weight"] @ inputs[0] + weights["1.bias"])
    samples = (weights["3.weight"] @ hidden.unsqueeze(2)).squeeze(2) + weights["3.bias"]
    mean, variance = network(scaled(values, scale), inputs)[0].unflatten(0, (2, 2))
    # What second order adds, and four standard errors.
    assert float((samples.mean(dim=0) - mean).abs().max()) < 0.003
    assert float((samples.var(dim=0) / variance - 1).abs().max()) < 0.012


def test_first_order_errs_half_as_much_for_variances_half_as_large() -> None:
    """The hidden units are independent and their inputs Gaussian: quadrature gives them exactly."""
    network, values = HIDDEN.network((3,), 2), HIDDEN.initial((3,), 2, 3, torch.float64)
    inputs = 0.7 * draws(0, 1, 3)
    nodes, chances = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(61))
    chances = chances / chances.sum()
    spread = {n: functional.softplus(v) for n, v in values.items() if n.endswith("_rho")}

    def errors(scale: float) -> Tensor:
        mean = values["1.weight"] @ inputs[0] + values["1.bias"]
        variance = spread["1.weight_rho"] @ inputs[0].square() + spread["1.bias_rho"]
        units = torch.tanh(mean + (scale * variance).sqrt() * nodes.unsqueeze(1))
        first, second = chances @ units, chances @ units.square()
        weight = values["3.weight"]
        exact = weight.square() @ (second - first.square())
        exact = exact + scale * (spread["3.weight_rho"] @ second + spread["3.bias_rho"])
        return network(scaled(values, scale), inputs)[0, 2:] / exact - 1

    large, middle, small = (errors(scale) for scale in (2.0**-10, 2.0**-11, 2.0**-12))
    assert 1e-5 < float(large.abs().min()) < float(large.abs().max()) < 0.01
    torch.testing.assert_close(large / middle, torch.full_like(large, 2), rtol=0.02, atol=0)
    torch.testing.assert_close(middle / small, torch.full_like(large, 2), rtol=0.01, atol=0)


@pytest.mark.parametrize("size", [2, 3])
def test_pooling_is_that_of_loops(size: int) -> None:
    moments = draws(0, 2, 2, 3, 7, 6)
    moments[:, 1] = moments[:, 1].square()
    average, largest = MomentAveragePool(size)(moments), MomentMaxPool(size)(moments)
    for example in range(2):
        for channel in range(3):
            for row in range(7 // size):
                for column in range(6 // size):
                    mean, variance = moments[
                        example,
                        :,
                        channel,
                        size * row : size * (row + 1),
                        size * column : size * (column + 1),
                    ].flatten(1)
                    place = int(mean.argmax())
                    at = (example, slice(None), channel, row, column)
                    expected = torch.stack([mean[place], variance[place]])
                    torch.testing.assert_close(largest[at], expected, rtol=0, atol=0)
                    expected = torch.stack([mean.mean(), variance.sum() / size**4])
                    torch.testing.assert_close(average[at], expected)


TINY: dict[str, tuple[Model, tuple[int, ...]]] = {
    "mlp": (BayesianMLP(hidden=(3, 2), activation="tanh"), (4,)),
    "mlp-published": (
        BayesianMLP(hidden=(3,), biases="additive", objective="published", rho=(0, 5)),
        (4,),
    ),
    "lenet": (BayesianLeNet(width=0.02, padding=0), (1, 16, 16)),
    "lenet-max": (
        BayesianLeNet(width=0.02, padding=0, pooling="max", filter_variances="shared"),
        (2, 16, 17),
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, shape = TINY[name]
    network: Network = model.network(shape, 2)
    inputs = draws(0, 2, *shape)

    def outputs(flat: Tensor) -> Tensor:
        return network(network.layout.unflatten(flat), inputs)

    flat = network.layout.flatten(model.initial(shape, 2, 0, torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(outputs, flat, eps=1e-6, atol=1e-6)
    layout = network.select("last_layer")
    rest = network.layout.unflatten(flat.detach())

    def last_outputs(part: Tensor) -> Tensor:
        return network({**rest, **layout.unflatten(part)}, inputs)

    part = layout.flatten(rest).requires_grad_()
    assert torch.autograd.gradgradcheck(last_outputs, part, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_a_stack_is_its_models_one_by_one(name: str) -> None:
    model, shape = TINY[name]
    network = model.network(shape, 2)
    models = [model.initial(shape, 2, seed, torch.float64) for seed in range(3)]
    stacked = {n: torch.stack([values[n] for values in models]) for n in network.layout.names}
    shared, own = draws(0, 5, *shape), draws(1, 3, 5, *shape)
    for inputs, pick in ((shared, False), (own, True)):
        found = stacked_outputs(network, stacked, inputs, own_inputs=pick)
        for k, values in enumerate(models):
            alone = network(values, inputs[k] if pick else inputs)
            torch.testing.assert_close(found[k], alone, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("first", ["0", "2", "4"])
@pytest.mark.parametrize("biases", ["gaussian", "deterministic", "additive"])
def test_a_stack_of_last_layers_is_its_models_one_by_one(first: str, biases: Bias) -> None:
    model = BayesianMLP(hidden=(3, 2), activation="silu", biases=biases, objective="published")
    whole = model.network((4,), 2)
    parts = whole.split(whole.layout.restrict([f"{first}.weight", f"{first}.weight_rho"]))
    network, inputs = whole, draws(0, 3, 5, 4)
    if parts is not None:
        before, network = parts
        inputs = stacked_outputs(before, _stacked(model, before), inputs, own_inputs=True)
    stacked = _stacked(model, network)
    for shared in (inputs, inputs[0]):
        found = stacked_outputs(network, stacked, shared, own_inputs=shared is inputs)
        for k in range(3):
            values = {name: value[k] for name, value in stacked.items()}
            alone = network(values, inputs[k] if shared is inputs else shared)
            torch.testing.assert_close(found[k], alone, rtol=1e-11, atol=1e-13)
    assert says_how(network.module, inputs.dim() - 1)


def _stacked(model: Model, network: Network) -> Values:
    models = [model.initial((4,), 2, seed, torch.float64) for seed in range(3)]
    return {name: torch.stack([one[name] for one in models]) for name in network.layout.names}


def test_additive_biases_add_their_number_to_the_variance() -> None:
    layer = GaussianAffine(nn.Linear(3, 2), certain=True, bias="additive").double()
    nn.init.zeros_(layer.weight_rho)
    inputs = draws(0, 4, 3)
    expected = inputs.square().sum(dim=1, keepdim=True) * float(functional.softplus(torch.zeros(1)))
    found = layer(inputs)[:, 1] - layer.bias_variance
    torch.testing.assert_close(found, expected.expand(4, 2), rtol=1e-7, atol=1e-12)


def test_initial_values_are_drawn_as_declared() -> None:
    model = BayesianMLP(hidden=(400,), rho=(0, 5))
    values = model.initial((300,), 2, 0, torch.float64)
    rho = values["1.weight_rho"]
    assert 0 <= float(rho.min()) < 0.01
    assert 4.99 < float(rho.max()) <= 5
    assert float(rho.mean()) == pytest.approx(2.5, abs=0.02)
    assert float(values["1.weight"].std()) == pytest.approx((2 / 700) ** 0.5, rel=0.01)
    assert float(values["1.bias"].abs().max()) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"biases": "additive"}, "`biases: additive` can make a variance negative"),
        ({"rho": (1, 0)}, "give the lower end first"),
        ({"width": None}, "both `width` and `depth`"),
        ({"log_determinant": 0.1}, "`objective: elbo` has no `log_determinant`"),
        ({"objective": "published", "noise": 0.1}, "`objective: published` has no `noise`"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, object], message: str) -> None:
    make: Callable[..., Model] = BayesianMLP
    with pytest.raises(ValueError, match=message):
        make(**{"width": 5, "depth": 1, **fields})


def test_penalties_are_the_divergence_layer_by_layer() -> None:
    """Of the published form, as their code has it: means over a layer, times its inputs."""
    model = BayesianMLP(
        hidden=(4,),
        biases="additive",
        objective="published",
        divergence=(0.1, 0.01),
        rho=(0, 5),
    )
    values, n = model.initial((3,), 2, 0, torch.float64), 7
    layout = model.network((3,), 2).layout
    expected = torch.zeros((), dtype=torch.float64)
    for name, factor in (("1", 0.1), ("3", 0.01)):
        weight, rho = values[f"{name}.weight"], values[f"{name}.weight_rho"]
        spread, inputs = functional.softplus(rho), weight.shape[1]
        terms = inputs * spread + weight.square().sum() - inputs - inputs * spread.log()
        expected = expected + factor * 0.5 * terms.mean() / n
    found = sum(
        strength * penalty.form.value(values[name]).sum()
        for penalty in model.penalties(layout, n)
        for name, strength in penalty.strengths.items()
    )
    torch.testing.assert_close(found, expected)


def test_weights_that_share_a_variance_diverge_as_often() -> None:
    model = BayesianLeNet(width=0.3, filter_variances="shared")
    network = model.network((1, 20, 20), 3)
    values = model.initial((1, 20, 20), 3, 0, torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for name in network.layout.names:
        if not name.endswith("_rho"):
            deviation = functional.softplus(values[f"{name}_rho"]).sqrt().expand_as(values[name])
            prior = Normal(torch.zeros_like(values[name]), torch.ones_like(values[name]))
            expected = expected + kl_divergence(Normal(values[name], deviation), prior).sum()
    found = sum(
        strength * penalty.form.value(values[name]).sum()
        for penalty in model.penalties(network.layout, 10)
        for name, strength in penalty.strengths.items()
    )
    torch.testing.assert_close(found, expected / 10)


def test_a_filter_s_variance_is_counted_as_published() -> None:
    """Once a row of its window: their code takes the kernel's side for its number of inputs."""
    model = BayesianLeNet(
        width=0.3, filter_variances="shared", objective="published", divergence=0.1
    )
    network = model.network((1, 20, 20), 3)
    values = model.initial((1, 20, 20), 3, 0, torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for name in [name for name in network.layout.names if name.endswith("weight")]:
        weight, spread = values[name], functional.softplus(values[f"{name}_rho"])
        side = 5 if weight.dim() == 4 else weight.shape[1]
        terms = side * spread + weight.square().sum() - side - side * spread.log()
        expected = expected + 0.1 * 0.5 * terms.mean() / 10
    found = sum(
        strength * penalty.form.value(values[name]).sum()
        for penalty in model.penalties(network.layout, 10)
        for name, strength in penalty.strengths.items()
    )
    torch.testing.assert_close(found, expected)
