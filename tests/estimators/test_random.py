"""The null: its distribution, and what a draw depends on."""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy import stats

from fragility.estimators.random import Random
from fragility.numerics.trained import TrainedModel
from tests.numerics.networks import example


def many(n: int = 4000) -> TrainedModel:
    return example("tanh", n=n)


def moved(model: TrainedModel) -> TrainedModel:
    """The same model with the last bit of one parameter changed."""
    name = model.network.layout.names[-1]
    bias = model.parameters[name].clone()
    bias[0] = torch.nextafter(bias[0], bias[0] + 1)
    return replace(model, parameters={**model.parameters, name: bias})


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_scores_are_standard_normal() -> None:
    scores = Random().estimate(many(), torch.arange(4)).scores
    assert scores.shape == (4, 4000)
    for row in scores:
        assert stats.kstest(row.numpy(), "norm").pvalue > 0.01


def test_rows_models_and_seeds_are_unrelated() -> None:
    """Correlations of 16,000 independent pairs have the standard deviation 0.008."""
    model = many()
    scores = Random().estimate(model, torch.arange(4)).scores
    other = Random().estimate(moved(model), torch.arange(4)).scores
    reseeded = Random(seed=1).estimate(model, torch.arange(4)).scores
    assert abs(correlation(scores, other)) < 0.03
    assert abs(correlation(scores, reseeded)) < 0.03
    assert abs(correlation(scores[:2], scores[2:])) < 0.04


def test_the_same_model_has_the_same_draw_whatever_it_is_asked_with() -> None:
    model = many(50)
    whole = Random().estimate(model, torch.arange(4)).scores
    assert torch.equal(Random().estimate(model, torch.tensor([3, 1])).scores, whole[[3, 1]])
    copied = replace(model, parameters={n: p.clone() for n, p in model.parameters.items()})
    assert torch.equal(Random().estimate(copied, torch.arange(4)).scores, whole)


def test_no_global_state_is_used() -> None:
    before = torch.random.get_rng_state()
    Random().estimate(many(50), torch.arange(4))
    assert torch.equal(torch.random.get_rng_state(), before)
