"""Cosines of gradients against torch's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.estimators.grad_cos import GradCos
from tests.estimators.brute_force import both_gradients
from tests.numerics.networks import NETWORKS, example


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_cosines(name: str, task: str) -> None:
    model = example(name, task)
    test, train = both_gradients(model)
    wanted = torch.cosine_similarity(test.unsqueeze(1), train.unsqueeze(0), dim=2)
    found = GradCos().estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_a_training_example_is_most_like_itself() -> None:
    model = example("convolution")
    twins = replace(model, test_inputs=model.inputs, test_targets=model.targets)
    scores = GradCos().estimate(twins, torch.arange(model.n)).scores
    torch.testing.assert_close(scores.diagonal(), torch.ones(model.n, dtype=torch.float64))
    assert float(scores.abs().max()) <= 1 + 1e-12


def test_a_gradient_of_zero_has_the_cosine_zero() -> None:
    """The squared error of an example that is met exactly has no gradient."""
    model = example("tanh", "regression")
    targets = model.targets.clone()
    targets[3] = model.network(model.parameters, model.inputs)[3]
    scores = GradCos().estimate(replace(model, targets=targets), torch.arange(4)).scores
    assert torch.equal(scores[:, 3], torch.zeros(4, dtype=torch.float64))
    assert bool((scores[:, :3] != 0).all())


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = example("pooling")
    whole = GradCos().estimate(model, torch.arange(4)).scores
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    again = GradCos().estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(again, whole, rtol=1e-12, atol=1e-15)
