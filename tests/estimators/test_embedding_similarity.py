"""Similarities of embeddings against scipy's distances of hidden activations written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fragility.estimators.embedding_similarity import EmbeddingSimilarity, embeddings
from fragility.models.linear import Linear
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import NETWORKS, example
from tests.problems import trained


def hidden(model: TrainedModel, name: str, inputs: torch.Tensor) -> torch.Tensor:
    """What the last layer is given, layer by layer."""
    p, functional = model.parameters, torch.nn.functional
    if name == "tanh":
        first = torch.tanh(inputs @ p["1.weight"].T + p["1.bias"])
        return torch.tanh(first @ p["3.weight"].T)
    if name == "residual":
        return inputs + torch.tanh(inputs @ p["inner.weight"].T + p["inner.bias"])
    padded = functional.conv2d(functional.pad(inputs, (1, 1, 1, 1)), p["1.weight"])
    pooled = functional.max_pool2d(torch.relu(padded), 2).flatten(1)
    return functional.softplus(pooled @ p["5.weight"].T + p["5.bias"])


@pytest.mark.parametrize("name", ["tanh", "residual", "pooling"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_scores_are_similarities_of_the_last_layers_inputs(name: str, metric: str) -> None:
    model = example(name)
    test = hidden(model, name, model.test_inputs).numpy()
    train = hidden(model, name, model.inputs).numpy()
    wanted = {
        "cosine": lambda: 1 - cdist(test, train, "cosine"),
        "dot": lambda: test @ train.T,
        "euclidean": lambda: -cdist(test, train),
    }[metric]()
    estimator = EmbeddingSimilarity.model_validate({"metric": metric})
    found = estimator.estimate(model, torch.arange(4)).scores
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_a_linear_model_compares_the_inputs_themselves() -> None:
    model = trained(Linear(), "classification", WeightDecay(strength=0.1))
    found = EmbeddingSimilarity(metric="dot").estimate(model, torch.arange(8)).scores
    torch.testing.assert_close(found, model.test_inputs @ model.inputs.T)


def test_close_examples_keep_their_distance() -> None:
    """Where the expanded square would lose every digit."""
    model = trained(Linear(), "regression", WeightDecay(strength=0.1))
    model.test_inputs[0] = model.inputs[5] + 1e-9
    found = EmbeddingSimilarity(metric="euclidean").estimate(model, torch.arange(1)).scores
    assert float(found[0, 5]) == pytest.approx(-1e-9 * 5**0.5, rel=1e-5)


def test_an_embedding_of_zero_has_the_cosine_zero() -> None:
    model = trained(Linear(), "regression", WeightDecay(strength=0.1))
    model.inputs[2] = 0
    found = EmbeddingSimilarity().estimate(model, torch.arange(8)).scores
    assert torch.equal(found[:, 2], torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("name", NETWORKS)
def test_small_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = example(name)
    whole = embeddings(model, model.inputs)
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    torch.testing.assert_close(embeddings(model, model.inputs), whole, rtol=1e-12, atol=1e-15)
