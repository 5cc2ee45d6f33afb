"""What unrelated lists give, against random pairings, enumerations and closed forms."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS, Metric, Reliability

KINDS = sorted(METRICS.methods)
ABSOLUTE = ["pearson", "spearman", "kendall"]


def absolute(kind: str) -> Metric:
    return METRICS.methods[kind](kind=kind, absolute=True)


def lists(n: int, how: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    if how == "heavy tails":
        return rng.standard_t(1.5, n), 0.5 + rng.standard_t(1.5, n)
    if how == "ties":
        return rng.integers(-2, 5, n).astype(float), rng.integers(-3, 4, n).astype(float)
    return rng.standard_normal(n), 0.4 + rng.standard_normal(n)


def drawn(metric: Metric, x: np.ndarray, y: np.ndarray, pairings: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    ones = np.ones((1, len(x)))
    found = [metric.values(x, rng.permutation(y), ones)[0] for _ in range(pairings)]
    return np.array(found)


# A ratio of medians and a median of ratios have no exact mean: half a standard deviation more.
SLACK = {"theil_sen": 0.05, "theil_sen_intercept": 0.2, "relative_error": 0.05}


@pytest.mark.parametrize("how", ["normal", "heavy tails", "ties"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_mean_over_random_pairings(kind: str, how: str) -> None:
    x, y = lists(30, how)
    metric = METRICS.methods[kind](kind=kind)
    found = drawn(metric, x, y, 800)
    chance = metric.chance(30, x, y)
    assert chance is not None
    error = found.std() * (4 / np.sqrt(800) + SLACK.get(kind, 0))
    assert chance == pytest.approx(found.mean(), abs=error)


@pytest.mark.parametrize("how", ["normal", "heavy tails", "ties"])
@pytest.mark.parametrize("n", [8, 40, 150])
@pytest.mark.parametrize("kind", ABSOLUTE)
def test_absolute_correlations_of_the_lists_at_hand(kind: str, n: int, how: str) -> None:
    x, y = lists(n, how)
    found = drawn(absolute(kind), x, y, 800)
    error = 4 * found.std() / np.sqrt(800) + 0.01 * found.mean()
    assert absolute(kind).chance(n, x, y) == pytest.approx(found.mean(), abs=error)


@pytest.mark.parametrize(("n", "kendall"), [(4, 0.04), (5, 0.02), (6, 0.01), (7, 0.005)])
def test_few_ranks_in_every_order(n: int, kendall: float) -> None:
    ranks = np.arange(n) - (n - 1) / 2
    orders = np.array(list(permutations(ranks)))
    later, earlier = np.tril_indices(n, k=-1)
    tau = np.mean(np.sign(orders[:, later] - orders[:, earlier]), axis=1)
    rho = orders @ ranks / (ranks @ ranks)
    assert absolute("spearman").chance(n) == pytest.approx(np.abs(rho).mean(), rel=0.005)
    assert absolute("kendall").chance(n) == pytest.approx(np.abs(tau).mean(), rel=kendall)


def test_normal_lists_have_pearsons_closed_form() -> None:
    for n in (4, 25, 400):
        size = stats.t(n - 2).expect(lambda t, n=n: abs(t) / np.sqrt(t * t + n - 2))
        assert absolute("pearson").chance(n) == pytest.approx(size, rel=1e-6)


def test_the_sizes_that_readers_of_the_paper_need() -> None:
    """Means of 4 million random orders, standard error 0.00006."""
    assert absolute("spearman").chance(25) == pytest.approx(0.16425, rel=0.005)
    assert absolute("spearman").chance(40) == pytest.approx(0.12843, rel=0.005)


@pytest.mark.parametrize("kind", ABSOLUTE)
def test_a_long_list_has_the_size_of_a_normal_variable(kind: str) -> None:
    n = 20_011
    deviation = {"kendall": 2 / 3 / np.sqrt(n)}.get(kind, 1 / np.sqrt(n))
    truth = deviation * np.sqrt(2 / np.pi)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, n))
    assert absolute(kind).chance(n) == pytest.approx(truth, rel=0.02)
    assert absolute(kind).chance(n, x, y) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_examples_does_not_matter(kind: str) -> None:
    x, y = lists(30, "normal")
    order = np.random.default_rng(0).permutation(30)
    metric = absolute(kind) if kind in ABSOLUTE else METRICS.methods[kind](kind=kind)
    chance = metric.chance(30, x, y)
    assert metric.chance(30, x[order], y[order[::-1]]) == pytest.approx(chance)


def test_without_the_lists_it_is_what_needs_no_lists() -> None:
    known = {kind: METRICS.methods[kind](kind=kind).chance(50) for kind in KINDS}
    assert {kind: value for kind, value in known.items() if value is not None} == {
        "pearson": 0, "spearman": 0, "kendall": 0, "within_sign": 0, "slope": 0, "theil_sen": 0,
        "sign_agreement": 0.5, "top_k_precision": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ABSOLUTE)
def test_an_absolute_correlation_is_the_size_of_the_signed_one(kind: str) -> None:
    x, y = lists(30, "ties")
    signed = METRICS.methods[kind](kind=kind)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=40).astype(float)
    values = signed.values(x, y, weights)
    assert (values < 0).any()
    np.testing.assert_array_equal(absolute(kind).values(x, y, weights), np.abs(values))
    assert (signed.label, absolute(kind).label) == (kind, f"|{kind}|")
    noise = Reliability(y + np.random.default_rng(1).standard_normal((3, 30)))
    assert absolute(kind).ceiling(noise) == signed.ceiling(noise)
