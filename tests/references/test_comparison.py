"""Verdicts by the written rules: against scipy, and on samples whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fragility.references.comparison import (
    AGREES,
    BOTH_AT_CHANCE,
    CANNOT_TELL,
    DIFFERS,
    MARGINS,
    NOT_MEASURED,
    NOT_THERE,
    Held,
    Sides,
    compared,
    rejected,
    transformed,
)
from fragility.references.declared import QUANTITIES, Quantity
from fragility.statistics import holm

RNG = np.random.default_rng(0)
TOP: Quantity = "hessian_top_eigenvalue"


def one(
    ours: object,
    published: object,
    quantity: Quantity = "spearman",
    absolute: bool = True,
    pairs: int | None = 25,
) -> Held:
    sides = Sides(quantity, absolute, list(ours), list(published), pairs, pairs)  # type: ignore[call-overload]
    (found,) = compared([sides], seed=0)
    return found


def correlations(centre: float, spread: float = 0.05, n: int = 50, seed: int = 1) -> np.ndarray:
    return centre + spread * np.random.default_rng(seed).uniform(-1, 1, n)


def test_the_same_numbers_agree_and_others_differ() -> None:
    values = correlations(0.6)
    assert one(values, values).verdict == AGREES
    far = one(values, values - 0.4)
    assert far.verdict == DIFFERS
    assert far.difference.value == pytest.approx(0.4, abs=2e-6)


def test_the_sign_is_dropped_on_both_sides_or_on_neither() -> None:
    values = correlations(0.6)
    assert one(values, -values).verdict == AGREES
    signed = one(values, -values, absolute=False)
    assert signed.verdict == DIFFERS
    assert signed.difference.value == pytest.approx(2 * np.median(values), abs=2e-6)
    assert signed.published.median == pytest.approx(-np.median(values), abs=1e-6)


def test_a_difference_within_the_margin_agrees_though_it_is_significant() -> None:
    values = correlations(0.6, spread=0.01)
    found = one(values, values + 0.05)
    assert rejected(found)
    assert found.verdict == AGREES


def test_a_wide_interval_cannot_tell() -> None:
    found = one(correlations(0.5, 0.3, 12, 2), correlations(0.5, 0.3, 12, 3))
    assert found.verdict == CANNOT_TELL
    assert not rejected(found)
    assert found.reason == ""


def test_four_runs_cannot_tell_and_say_so() -> None:
    found = one(correlations(0.6, n=4), correlations(0.1))
    assert found.verdict == CANNOT_TELL
    assert found.reason == "4 of ours, 50 published; 5 of each are needed"
    assert found.ours.median is not None


def null(seed: int, runs: int = 50, pairs: int = 25) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((2, runs, pairs))
    x, y = stats.zscore(stats.rankdata(drawn, axis=-1), axis=-1)
    return np.mean(x * y, axis=-1)


def test_unrelated_lists_do_not_agree() -> None:
    found = one(null(1, 300), null(2, 300))
    assert found.difference.low > -MARGINS["spearman"]
    assert found.difference.high < MARGINS["spearman"]
    assert (found.ours.at_chance, found.published.at_chance) == (True, True)
    assert (found.verdict, found.reason) == (CANNOT_TELL, BOTH_AT_CHANCE)
    # With only one side at chance the numbers decide.
    values = correlations(0.25, 0.01)
    assert one(null(1), values).reason != BOTH_AT_CHANCE
    assert one(values, values).verdict == AGREES


def test_the_level_of_being_told_from_chance() -> None:
    told = [not one(null(100 + i), [0.5]).ours.at_chance for i in range(400)]
    # Above chance by a two-sided 95 % interval: 2.5 % of the time, sizes being skewed less.
    assert np.mean(told) < 0.045


def test_eigenvalues_are_compared_by_the_logarithm_of_their_size() -> None:
    values = np.exp(RNG.normal(2, 0.1, 50))
    found = one(-1.2 * values, values, TOP)
    assert found.logarithmic
    assert found.difference.value == pytest.approx(math.log(1.2))
    assert found.verdict == AGREES
    assert found.ours.median == pytest.approx(1.2 * np.median(values))
    assert one(2 * values, values, TOP).verdict == DIFFERS
    assert found.ours.chance is None


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    found = one([1.0, 2.0, 3.0, 4.0, 5.0, 0.0, math.nan], [1, 2, 3, 4, 5, None], TOP)
    assert (len(found.ours.values), found.ours.left_out, found.ours.runs) == (5, 2, 7)
    assert (len(found.published.values), found.published.left_out) == (5, 1)


def test_shares_of_the_same_examples_are_equal_in_any_precision() -> None:
    single, double = np.full(50, np.float32(147 / 149)), np.full(5, 147 / 149)
    found = one(double, single, "train_accuracy")
    assert found.ranks.p == 1
    assert found.difference.value == 0
    assert found.verdict == AGREES


def test_a_side_without_values_is_named() -> None:
    assert one([], [0.1], "pearson").verdict == NOT_MEASURED
    assert one([0.1], [], "pearson").verdict == NOT_THERE


def test_tests_are_scipys_corrected_over_the_settings_of_a_quantity() -> None:
    samples = {
        quantity: [
            (correlations(0.6, 0.2, 30, i), correlations(0.5, 0.2, 25, 9 + i)) for i in range(3)
        ]
        for quantity in ("spearman", "pearson")
    }
    asked = [Sides(q, True, list(a), list(b)) for q, pairs in samples.items() for a, b in pairs]
    # What cannot be asked is no part of the family.
    found = compared([*asked, Sides("spearman", True, [0.1], [0.2])], seed=0)[:-1]
    for start, quantity in ((0, "spearman"), (3, "pearson")):
        rounded = [[np.round(side, 6) for side in pair] for pair in samples[quantity]]
        ranks = [stats.mannwhitneyu(*pair).pvalue for pair in rounded]
        shapes = [stats.ks_2samp(*pair).pvalue for pair in rounded]
        own = found[start : start + 3]
        assert [h.ranks.p for h in own] == pytest.approx(ranks)
        assert [h.ranks.corrected for h in own] == pytest.approx(holm(ranks))
        assert [h.shapes.corrected for h in own] == pytest.approx(holm(shapes))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_half_of_the_published_runs_agree_with_the_other_half(quantity: Quantity) -> None:
    # Depth 1 with weight decay: what the rules say of a perfect reproduction with 25 runs.
    from fragility.references import load_reference

    family = load_reference("epifano-2023").families["IRIS/figure1_l2_selu"]
    values = family.settings["depth_1"].values[quantity]
    assert one(values[::2], values[1::2], quantity).verdict in (AGREES, CANNOT_TELL)


def test_transformations() -> None:
    values = [-0.5, 0.0, None, math.inf, 2.0]
    assert transformed("spearman", True, values).tolist() == [0.5, 0, 2]
    assert transformed("spearman", False, values).tolist() == [-0.5, 0, 2]
    assert transformed(TOP, True, values).tolist() == [0.5, 2]
    assert transformed("train_accuracy", True, values).tolist() == [-0.5, 0, 2]
