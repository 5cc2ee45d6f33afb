"""What holds of every estimator that users compare with, whatever it computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.estimators import Estimator
from fragility.estimators.datainf import DataInf
from fragility.estimators.embedding_similarity import EmbeddingSimilarity
from fragility.estimators.grad_cos import GradCos
from fragility.estimators.grad_dot import GradDot
from fragility.estimators.identity import Identity
from fragility.estimators.random import Random
from fragility.estimators.representer import Representer
from fragility.estimators.trak import TRAK
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import example
from tests.problems import trained

OF_GRADIENTS: list[Estimator] = [
    GradDot(),
    GradCos(),
    Identity(),
    DataInf(),
    TRAK(dimensions=8),
    TRAK(dimensions=None),
]
SIMPLE = [*OF_GRADIENTS, Random(), EmbeddingSimilarity(), Representer()]
DETERMINISTIC = [e for e in SIMPLE if not isinstance(e, Random)]


def words(estimator: Estimator) -> str:
    return f"{estimator.kind}-{getattr(estimator, 'dimensions', '')}"


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """At its optimum, as the representer needs it."""
    mlp = MLP(hidden=(4,), activation="tanh")
    return trained(mlp, "classification", WeightDecay(strength=0.05))


@pytest.mark.parametrize("estimator", SIMPLE, ids=words)
@settings(max_examples=15)
@given(points=st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_rows_follow_the_test_points_asked(
    model: TrainedModel, estimator: Estimator, points: list[int]
) -> None:
    """Whatever subset, order or repetition: each test point has the scores it has among all."""
    whole = estimator.estimate(model, torch.arange(8)).scores
    found = estimator.estimate(model, torch.tensor(points)).scores
    torch.testing.assert_close(found, whole[points], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("estimator", DETERMINISTIC, ids=words)
@settings(max_examples=15)
@given(order=st.permutations(range(40)))
def test_columns_follow_the_training_examples(
    model: TrainedModel, estimator: Estimator, order: list[int]
) -> None:
    whole = estimator.estimate(model, torch.arange(8)).scores
    shuffled = replace(model, inputs=model.inputs[order], targets=model.targets[order])
    found = estimator.estimate(shuffled, torch.arange(8)).scores
    torch.testing.assert_close(found, whole[:, order], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["convolution", "residual"])
@pytest.mark.parametrize("estimator", OF_GRADIENTS, ids=words)
def test_examples_that_are_equal_have_equal_scores(estimator: Estimator, name: str) -> None:
    model = example(name)
    model.inputs[5], model.targets[5] = model.inputs[2], model.targets[2]
    model.test_inputs[3], model.test_targets[3] = model.test_inputs[1], model.test_targets[1]
    scores = estimator.estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(scores[:, 5], scores[:, 2], rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(scores[3], scores[1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("estimator", [GradDot(), Identity(), DataInf(), TRAK()], ids=words)
def test_a_training_example_helps_itself(estimator: Estimator, model: TrainedModel) -> None:
    """The sign: as a test point each example has a positive score of its own removal."""
    twins = replace(model, test_inputs=model.inputs, test_targets=model.targets)
    scores = estimator.estimate(twins, torch.arange(model.n)).scores
    assert bool((scores.diagonal() > 0).all())


@pytest.mark.parametrize("estimator", OF_GRADIENTS, ids=words)
@pytest.mark.parametrize("which", ["last_layer", "last_layer_weight"])
def test_some_parameters_are_the_network_that_is_left(
    model: TrainedModel, estimator: Estimator, which: str
) -> None:
    """A last layer is scored as the linear model of its inputs that it is."""
    some = estimator.model_copy(update={"parameters": which})
    found = some.estimate(model, torch.arange(8)).scores
    p = model.parameters

    def hidden(inputs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(inputs @ p["1.weight"].T + p["1.bias"])

    layer = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(4, 3))
    last = ("3.weight", "3.bias")
    linear = replace(
        model,
        network=type(model.network)(layer),
        parameters={name.replace("3", "1"): p[name] for name in last},
        decay={name.replace("3", "1"): model.decay[name] for name in last},
        inputs=hidden(model.inputs),
        test_inputs=hidden(model.test_inputs),
    )
    wanted = some.estimate(linear, torch.arange(8)).scores
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
