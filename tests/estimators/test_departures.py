"""Departures against the arithmetic of published code, written out in numpy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import softmax

from fragility.errors import MethodFailure
from fragility.estimators.auto import Auto
from fragility.estimators.cg import CG
from fragility.estimators.exact import Exact
from fragility.estimators.lissa import LiSSA
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import data, trained

Array = NDArray[np.float64]

ALL_TEST = torch.arange(8)
STRENGTH = 0.05


@cache
def model() -> TrainedModel:
    """A network of the shape of the published ones, not at a minimum of its last layer alone."""
    return trained(
        MLP(hidden=(4,), activation="selu"), "classification", WeightDecay(strength=STRENGTH)
    )


def features(inputs: torch.Tensor) -> Array:
    weight, bias = (model().parameters[name].numpy() for name in ("1.weight", "1.bias"))
    z = inputs.numpy() @ weight.T + bias
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * np.where(z > 0, z, alpha * np.expm1(z))


def outer(left: Array, right: Array) -> Array:
    """The rows of left times those of right, flat as a weight is."""
    return np.einsum("nk,nd->nkd", left, right).reshape(len(left), -1)


def last_layer(dropped: bool) -> tuple[Array, Array, Array]:
    """Gradients of test and training examples, and the Hessian of the mean loss, in W alone."""
    weight, bias = (model().parameters[name].numpy() for name in ("3.weight", "3.bias"))
    gradients = []
    for inputs, targets in (
        (model().test_inputs, model().test_targets),
        (model().inputs, model().targets),
    ):
        h = features(inputs)
        p = softmax(h @ weight.T + (0 if dropped else bias), axis=1)
        gradients.append(outer(p - np.eye(3)[targets.numpy()], h))
    blocks = np.einsum("nk,kl->nkl", p, np.eye(3)) - np.einsum("nk,nl->nkl", p, p)
    hessian = np.einsum("nkl,nd,ne->kdle", blocks, h, h).reshape(12, 12) / len(h)
    return gradients[0], gradients[1], hessian


def scores(kind: type[Exact | LiSSA | CG | Auto] = Exact, **fields: Any) -> Array:
    estimator = kind.model_validate({"parameters": "last_layer_weight", **fields})
    return estimator.estimate(model(), ALL_TEST).scores.numpy()


def test_the_last_layer_in_published_form() -> None:
    """+ g_test^T (H + 0.001 I)^-1 g, no 1/n, no penalty, logits without bias."""
    test, train, hessian = last_layer(dropped=True)
    found = scores(
        damping=1e-3,
        curvature_includes_regularization=False,
        departures={"last_layer_bias": "dropped", "divisor": 1, "inverse": "written_out"},
    )
    expected = test @ np.linalg.inv(hessian + 1e-3 * np.eye(12)) @ train.T
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [Exact, CG, Auto])
@pytest.mark.parametrize("dropped", [False, True])
def test_every_inverse_departs_alike(kind: type[Exact | CG | Auto], dropped: bool) -> None:
    test, train, hessian = last_layer(dropped)
    slope = STRENGTH * model().parameters["3.weight"].numpy().ravel()
    found = scores(
        kind,
        damping=1e-2,
        departures={
            "last_layer_bias": "dropped" if dropped else "kept",
            "curvature_factor": 59 / 608,
            "divisor": 50000,
            "sign": "upweighting",
            "penalty_in_gradient": True,
        },
        **({"tolerance": 1e-12} if kind is CG else {}),
    )
    curvature = 59 / 608 * (hessian + STRENGTH * np.eye(12)) + 1e-2 * np.eye(12)
    expected = -test @ np.linalg.solve(curvature, (train + slope).T) / 50000
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_the_penalty_in_the_gradient_moves_all_scores_of_a_test_point_alike() -> None:
    moved = scores(departures={"penalty_in_gradient": True}) - scores()
    assert np.ptp(moved, axis=1).max() < 1e-12 * np.abs(moved).max()
    assert np.abs(moved).min() > 0


def test_a_mean_divided_by_the_last_batch() -> None:
    """59 batches' mean Hessians, their sum divided by the 608 examples of the last."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=59)
    assert means.sum() / 608 == pytest.approx(means.mean() * 59 / 608)
    assert round(59 / 608, 3) == 0.097


def test_the_written_out_inverse_is_that_of_torch_bit_for_bit() -> None:
    """In float32, of a matrix that is singular but for rounding: three of twelve directions."""
    fields = {"dtype": "float32", "curvature_includes_regularization": False}
    found = Exact.model_validate(
        {"parameters": "last_layer_weight", "departures": {"inverse": "written_out"}, **fields}
    )
    matrix, rhs = found._system(model(), ALL_TEST)
    dense = matrix.dense()
    assert float(torch.linalg.eigvalsh(dense)[3]) < 1e-6
    assert torch.equal(found.solve(matrix, 0.0, rhs).vectors, rhs @ torch.inverse(dense))


def test_a_pivot_of_zero_has_no_inverse() -> None:
    """A feature that is always 0 leaves rows of zeros."""
    inputs, targets = data("classification", 48)
    inputs[:, 0] = 0
    flat = trained(Linear(), "classification", WeightDecay(strength=STRENGTH))
    flat = replace(flat, inputs=inputs[:40], targets=targets[:40], test_inputs=inputs[40:])
    estimator = Exact.model_validate(
        {"curvature_includes_regularization": False, "departures": {"inverse": "written_out"}}
    )
    with pytest.raises(MethodFailure, match="a pivot of its LU factors is exactly 0"):
        estimator.estimate(flat, ALL_TEST)


def test_shuffled_scores_are_the_same_ones_in_other_places() -> None:
    plain = scores()
    first, again, other = (scores(departures={"shuffle_seed": seed}) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    order = np.array([int(np.flatnonzero(plain[0] == value)[0]) for value in first[0]])
    assert sorted(order) == list(range(40))
    np.testing.assert_array_equal(first, plain[:, order])
    fixed = np.flatnonzero(order == np.arange(40))
    assert len(fixed) < 8


def test_another_model_has_another_order() -> None:
    estimator = Exact.model_validate({"departures": {"shuffle_seed": 0}})
    orders = []
    for strength in (0.05, 0.06):
        one = trained(Linear(), "classification", WeightDecay(strength=strength))
        plain = Exact().estimate(one, ALL_TEST).scores[0]
        shuffled = estimator.estimate(one, ALL_TEST).scores[0]
        orders.append([int((plain == value).nonzero()[0]) for value in shuffled])
    assert orders[0] != orders[1]


def published_series(
    matrix: Array, v: Array, damping: float, scale: float, depth: int, tolerance: float
) -> tuple[Array, Array, int]:
    """The loop of the published code for one test point: last iterate, and their sum, / scale."""
    current, total, norm, steps = v, np.zeros_like(v), np.linalg.norm(v), 0
    while steps < depth:
        steps += 1
        current = v + (1 - damping) * current - matrix @ current / scale
        total = total + current / scale
        if abs(np.linalg.norm(current) - norm) < tolerance:
            break
        norm = np.linalg.norm(current)
    return current / scale, total, steps


@pytest.mark.parametrize("result", ["last", "sum"])
def test_the_recursion_of_published_code(result: str) -> None:
    """Damping 0.01 at scale 10 acts as 0.1; each test point stops at a step of its own."""
    test, train, hessian = last_layer(dropped=False)
    fields = {
        "damping": 0.01,
        "scale": 10,
        "depth": 2000,
        "curvature_includes_regularization": False,
        "departures": {
            "damping_times_scale": True,
            "result": result,
            "norm_tolerance": 1e-3,
            "divisor": 60000,
            "sign": "upweighting",
        },
    }
    runs = [published_series(hessian, v, 0.01, 10, 2000, 1e-3) for v in test]
    vectors = np.stack([run[0 if result == "last" else 1] for run in runs])
    np.testing.assert_allclose(scores(LiSSA, **fields), -vectors @ train.T / 60000, rtol=1e-9)
    steps = {run[2] for run in runs}
    assert len(steps) > 1
    assert max(steps) < 2000
    estimator = LiSSA.model_validate({"parameters": "last_layer_weight", **fields})
    facts = estimator.estimate(model(), ALL_TEST).diagnostics
    assert facts["lissa_steps"] == max(steps)
    assert facts["damping"] == pytest.approx(0.1)


def test_without_its_departures_the_recursion_takes_one_step_more() -> None:
    """x_0 = b / scale is what one step makes of 0."""
    fields = {"damping": 0.1, "scale": 10, "curvature_includes_regularization": False}
    tiny = {"norm_tolerance": 1e-300}
    np.testing.assert_allclose(
        scores(LiSSA, depth=19, departures=tiny, **fields), scores(LiSSA, depth=20, **fields)
    )


def test_given_the_curvature_times_the_gradient_it_ends_at_products_of_gradients() -> None:
    test, train, _ = last_layer(dropped=False)
    found = scores(
        LiSSA,
        scale=3,
        depth=1500,
        departures={"right_side": "curvature_times_gradient"},
    )
    np.testing.assert_allclose(found, test @ train.T / 40, rtol=1e-6, atol=1e-9)


def test_batches_of_all_but_noise() -> None:
    """The departed recursion over random batches has the mean of that over all examples."""
    fields = {"damping": 0.1, "scale": 5, "depth": 60, "departures": {"norm_tolerance": 1e-300}}
    whole = scores(LiSSA, **fields)
    batches = scores(LiSSA, batch_size=20, repeats=40, **fields)
    assert np.linalg.norm(batches - whole) < 0.05 * np.linalg.norm(whole)
    assert not np.allclose(batches, whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (Exact, {"groups": "second_order", "departures": {"divisor": 1}}, "has no `departures`"),
        (
            Exact,
            {"negative_curvature": "clip", "departures": {"inverse": "written_out"}},
            "needs eigenvalues",
        ),
        (LiSSA, {"departures": {"damping_times_scale": True}}, "must be given"),
        (CG, {"departures": {"inverse": "written_out"}}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(
    kind: type[Exact | LiSSA | CG], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate(fields)


def test_a_bias_that_is_not_there_cannot_be_dropped() -> None:
    biased = trained(Linear(), "classification", WeightDecay(strength=STRENGTH))
    with pytest.raises(MethodFailure, match="has no bias"):
        Exact.model_validate({"departures": {"last_layer_bias": "dropped"}}).estimate(
            replace(
                biased,
                network=unbiased(),
                parameters={"0.weight": biased.parameters["1.weight"]},
                decay={"0.weight": STRENGTH},
            ),
            ALL_TEST,
        )


def unbiased() -> Any:
    from fragility.numerics.network import Network

    return Network(torch.nn.Sequential(torch.nn.Linear(5, 3, bias=False)))


def test_a_curvature_matrix_is_left_as_it_is() -> None:
    """What departs is the estimator, not what other estimators see of the model."""
    before = CurvatureMatrix(model(), model().network.layout).dense()
    scores(departures={"last_layer_bias": "dropped", "curvature_factor": 0.5})
    torch.testing.assert_close(CurvatureMatrix(model(), model().network.layout).dense(), before)
