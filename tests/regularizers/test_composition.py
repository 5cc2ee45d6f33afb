"""Regularizers together: the objective that is trained is the loss as torch would have it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.noise import Draws, Noise, mask_shapes
from fragility.numerics.penalties import Term, smooth_absolute
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.regularizers import Regularization
from fragility.regularizers.dropout import Dropout
from fragility.regularizers.l1 import L1
from fragility.regularizers.label_smoothing import LabelSmoothing
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training import Start
from fragility.training.base import Recorder
from fragility.training.full_batch import FullBatch
from fragility.training.minibatch import Minibatch
from fragility.training.newton import Newton
from fragility.training.optimizers.sgd import SGD
from tests.problems import data

MODEL = MLP(hidden=(4, 3), activation="tanh")
COMPOSED = Regularization.of(
    (
        WeightDecay(strength=0.3),
        L1(strength=0.2, width=0.05),
        LabelSmoothing(rate=0.15),
    )
)


def trained(regularization: Regularization, n: int = 12) -> TrainedModel:
    inputs, targets = data("classification", n + 4)
    network = MODEL.network((5,), 3)
    return TrainedModel(
        network=network,
        loss=regularization.loss(CROSS_ENTROPY),
        test_loss=CROSS_ENTROPY,
        decay=regularization.decay(network.layout),
        penalties=regularization.penalties(network.layout),
        parameters=MODEL.initial((5,), 3, 3, torch.float64),
        inputs=inputs[:n],
        targets=targets[:n],
        test_inputs=inputs[n:],
        test_targets=targets[n:],
    )


def stack(model: TrainedModel, weights: Tensor) -> StackProblem:
    layout = model.network.layout
    terms = [
        Term(term.form, term.strength.expand(len(weights), -1)) for term in model.terms(layout)
    ]
    return StackProblem(
        model.network,
        model.loss,
        layout,
        {},
        model.inputs,
        model.targets,
        weights,
        model.decay_vector(layout).expand(len(weights), -1),
        terms=tuple(terms),
    )


def written_out(model: TrainedModel, flat: Tensor, weights: Tensor) -> Tensor:
    """The composed objective with nothing but torch."""
    named = model.network.layout.unflatten(flat)
    hidden = torch.tanh(model.inputs @ named["1.weight"].T + named["1.bias"])
    hidden = torch.tanh(hidden @ named["3.weight"].T + named["3.bias"])
    outputs = hidden @ named["5.weight"].T + named["5.bias"]
    losses = nn.functional.cross_entropy(
        outputs, model.targets, label_smoothing=0.15, reduction="none"
    )
    entries = torch.cat([v.flatten() for n, v in named.items() if n.endswith("weight")])
    rounded = (torch.sqrt(entries**2 + 0.05**2) - 0.05).sum()
    return (weights * losses).sum() + 0.15 * flat.square().sum() + 0.2 * rounded


def test_the_objective_of_a_stack_is_the_loss_written_out() -> None:
    model = trained(COMPOSED)
    flat = model.vector(model.network.layout)
    weights = torch.full((2, 12), 1 / 12, dtype=torch.float64)
    weights[1, 4] = 0
    found = stack(model, weights).evaluate(torch.stack([flat, 2 * flat]))
    for k, point in enumerate((flat, 2 * flat)):
        at = point.clone().requires_grad_()
        value = written_out(model, at, weights[k])
        torch.testing.assert_close(found.objective[k], value.detach())
        torch.testing.assert_close(found.gradient[k], torch.autograd.grad(value, at)[0])


def test_the_curvature_and_the_gradient_of_a_trained_model_are_those_written_out() -> None:
    model = trained(COMPOSED)
    layout = model.network.layout
    flat = model.vector(layout)
    weights = torch.full((12,), 1 / 12, dtype=torch.float64)

    def objective(point: Tensor) -> Tensor:
        return written_out(model, point, weights)

    torch.testing.assert_close(
        CurvatureMatrix(model, layout).dense(), torch.autograd.functional.hessian(objective, flat)
    )
    torch.testing.assert_close(
        model.mean_gradient(layout), torch.autograd.functional.jacobian(objective, flat)
    )


def test_test_examples_are_measured_without_smoothing() -> None:
    model = trained(COMPOSED)
    tests = model.on_test()
    outputs = tests.network(model.parameters, tests.inputs)
    torch.testing.assert_close(
        tests.loss.per_example(outputs, tests.targets),
        nn.functional.cross_entropy(outputs, tests.targets, reduction="none"),
    )


def test_the_order_of_the_list_changes_nothing() -> None:
    turned = Regularization.of(tuple(reversed(COMPOSED.members)))
    assert turned == COMPOSED
    assert turned.identity() == COMPOSED.identity()
    alone = WeightDecay(strength=0.3)
    assert Regularization.of((alone,)).identity() == alone.identity()


@pytest.mark.parametrize("width", [0.0, 0.01, 1.0])
def test_the_rounded_absolute_value_and_its_derivatives(width: float) -> None:
    form = smooth_absolute(width)
    x = torch.tensor([-2.0, -0.3, 0.004, 1.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(form.value(x).sum(), x)
    torch.testing.assert_close(form.slope(x.detach()), slope)
    far = torch.tensor([1e4], dtype=torch.float64)
    assert float(form.value(far)) == pytest.approx(1e4 - width, rel=1e-8)
    if width:
        step = 1e-6
        bend = (form.slope(x.detach() + step) - form.slope(x.detach() - step)) / (2 * step)
        torch.testing.assert_close(form.bend(x.detach()), bend, rtol=1e-6, atol=1e-6)


def noisy(rate: float, seeds: tuple[int, ...], model: TrainedModel) -> StackProblem:
    noise = Noise(dropout=rate)
    weights = torch.full((len(seeds), 12), 1 / 12, dtype=torch.float64)
    problem = stack(model, weights)
    return replace(problem, network=noise.network(problem.network), draws=Draws(noise, seeds))


def test_masks_scale_units_as_torch_dropout_does() -> None:
    """The mean over masks of what a masked linear layer hands on is what it hands on unmasked."""
    model = trained(Regularization.of(Dropout(rate=0.4)))
    problem = noisy(0.4, (7,), model)
    kept: list[Tensor] = []
    for step in range(400):
        drawn = problem.at(step)._noisy()
        kept.append(torch.cat([mask[0] for mask in drawn.masks.values()], dim=1))
    masks = torch.stack(kept)
    assert set(masks.unique().tolist()) == {0.0, 1 / 0.6}
    # 400 x 12 draws of each unit: four standard errors of a share of 0.6.
    assert float((masks.mean(dim=(0, 1)) - 1).abs().max()) < 4 * math.sqrt(0.4 / 0.6 / 4800)


def test_a_masked_objective_is_that_of_the_masked_network() -> None:
    model = trained(Regularization.of(Dropout(rate=0.5)))
    problem = noisy(0.5, (3, 3, 8), model)
    flat = model.vector(model.network.layout)
    found = problem.at(5).evaluate(flat.expand(3, -1))
    torch.testing.assert_close(found.gradient[0], found.gradient[1])
    assert not torch.allclose(found.gradient[0], found.gradient[2])
    masks = problem.at(5)._noisy().masks
    named = model.network.layout.unflatten(flat)
    hidden = torch.tanh(model.inputs @ named["1.weight"].T + named["1.bias"])
    hidden = hidden * masks["2_mask.mask"][2]
    hidden = torch.tanh(hidden @ named["3.weight"].T + named["3.bias"])
    outputs = (hidden * masks["4_mask.mask"][2]) @ named["5.weight"].T + named["5.bias"]
    torch.testing.assert_close(
        found.objective[2], nn.functional.cross_entropy(outputs, model.targets)
    )


@pytest.mark.parametrize(
    "training",
    [
        FullBatch(steps=6, optimizer=SGD(learning_rate=0.5), dtype="float64"),
        Minibatch(batch_size=5, epochs=3, optimizer=SGD(learning_rate=0.5), dtype="float64"),
    ],
)
def test_a_model_trained_with_noise_in_a_stack_is_the_same_alone(
    training: FullBatch | Minibatch,
) -> None:
    model = trained(Regularization.of(Dropout(rate=0.5)))
    problem = noisy(0.5, (3, 9, 3), model)
    flat = model.vector(model.network.layout)
    orders = [3, 9, 3]
    kind: type[FullBatch] | type[Minibatch] = type(training)
    together = kind.fit(
        training, [training] * 3, problem, Start(flat.repeat(3, 1), orders=orders), Recorder()
    )
    for k in range(3):
        alone = kind.fit(
            training,
            [training],
            problem.select(torch.tensor([k])),
            Start(flat[None], orders=orders[k : k + 1]),
            Recorder(),
        )
        torch.testing.assert_close(together.theta[k], alone.theta[0])
    # What a training reports of its end is without noise.
    quiet = replace(problem, draws=None).evaluate(together.theta)
    torch.testing.assert_close(together.grad_norm, quiet.gradient.norm(dim=1))


def test_the_last_hidden_layer_alone_may_be_masked() -> None:
    network = MODEL.network((5,), 3)
    every = mask_shapes(Dropout(rate=0.1).noise(Noise()).network(network), (5,))
    last = Dropout(rate=0.1, layers="last_hidden").noise(Noise()).network(network)
    assert every == (("2_mask", (4,)), ("4_mask", (3,)))
    assert mask_shapes(last, (5,)) == (("4_mask", (3,)),)
    assert last.layout == network.layout


def test_crops_and_flips_are_those_of_the_padded_image() -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)
    noise = Noise(crop=2, flip=True)
    draws = Draws(noise, (4,))
    network = MLP(hidden=(2,)).network((3, 4, 5), 2)
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for step in range(60):
        moved, own, masks = draws.at(step, network, images, own_inputs=False)
        assert not own
        assert masks == {}
        for one, whole in zip(moved, padded, strict=True):
            places = [
                (row, column, flipped)
                for row in range(5)
                for column in range(5)
                for flipped in (False, True)
                if torch.equal(one, turned(whole[:, row : row + 4, column : column + 5], flipped))
            ]
            assert places
            seen.update(places[:1])
    assert len(seen) > 30


def turned(image: Tensor, flipped: bool) -> Tensor:
    return image.flip(-1) if flipped else image


def test_each_seed_has_its_own_augmented_images() -> None:
    images = torch.rand(6, 1, 4, 4, dtype=torch.float64)
    network = MLP(hidden=(2,)).network((1, 4, 4), 2)
    moved, own, _ = Draws(Noise(crop=1), (1, 2, 1)).at(0, network, images, own_inputs=False)
    assert own
    assert moved.shape == (3, 6, 1, 4, 4)
    torch.testing.assert_close(moved[0], moved[2])
    assert not torch.equal(moved[0], moved[1])
    alone, _, _ = Draws(Noise(crop=1), (2,)).at(0, network, images, own_inputs=False)
    torch.testing.assert_close(moved[1], alone)


def test_newtons_method_finds_the_minimum_of_the_composed_objective() -> None:
    regularization = Regularization.of(
        (WeightDecay(strength=0.05), L1(strength=0.01, width=0.1), LabelSmoothing(rate=0.1))
    )
    inputs, targets = data("classification", 20)
    network = Linear().network((5,), 3)
    layout = network.layout
    (penalty,) = regularization.penalties(layout)
    problem = StackProblem(
        network,
        regularization.loss(CROSS_ENTROPY),
        layout,
        {},
        inputs,
        targets,
        torch.full((2, 20), 1 / 20, dtype=torch.float64),
        torch.full((2, layout.size), 0.05, dtype=torch.float64),
        terms=(
            Term(
                penalty.form,
                torch.cat(
                    [
                        torch.full((2, size), penalty.strengths.get(name, 0.0))
                        for name, size in zip(layout.names, layout.sizes, strict=True)
                    ],
                    dim=1,
                ).double(),
            ),
        ),
    )
    training = Newton(gradient_norm=1e-10, dtype="float64")
    start = Start(torch.zeros(2, layout.size, dtype=torch.float64))
    fit = training.fit([training] * 2, problem, start, Recorder())

    def objective(flat: NDArray[np.float64]) -> float:
        weight, bias = flat[:15].reshape(3, 5), flat[15:]
        outputs = torch.from_numpy(inputs.numpy() @ weight.T + bias)
        loss = nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
        l1 = 0.01 * (np.sqrt(flat[:15] ** 2 + 0.01) - 0.1).sum()
        return float(loss) + 0.025 * float(flat @ flat) + l1

    found = minimize(objective, np.zeros(18), method="BFGS", options={"gtol": 1e-9})
    assert fit.converged == (True, True)
    np.testing.assert_allclose(fit.theta[1].numpy(), found.x, atol=1e-5)
