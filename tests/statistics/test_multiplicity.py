"""Corrected p-values against scipy, against closed testing, and by their error rates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fragility.statistics import benjamini_hochberg, holm
from tests.statistics.walk import within

FAMILIES = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(FAMILIES)
def test_benjamini_and_hochberg_are_scipys(family: list[float]) -> None:
    assert benjamini_hochberg(family) == pytest.approx(stats.false_discovery_control(family))


@given(FAMILIES)
def test_holm_is_the_closed_test_of_bonferroni(family: list[float]) -> None:
    """A hypothesis is rejected when every set of hypotheses with it in is, by its smallest p."""
    indices = range(len(family))
    sets = [c for k in range(1, len(family) + 1) for c in combinations(indices, k)]
    bonferroni = {c: min(1.0, len(c) * min(family[i] for i in c)) for c in sets}
    closed = [max(p for c, p in bonferroni.items() if i in c) for i in indices]
    assert holm(family) == pytest.approx(closed)


def test_error_rates() -> None:
    """Of 20 hypotheses 15 are true: any false rejection in 5 %, and 5 % of the rejections."""
    rng = np.random.default_rng(0)
    any_false, share = [], []
    for _ in range(2000):
        z = rng.standard_normal(20) + np.where(np.arange(20) < 15, 0.0, 3.0)
        p = 2 * stats.norm.sf(np.abs(z))
        any_false.append(np.any(holm(p)[:15] <= 0.05))
        rejected = benjamini_hochberg(p) <= 0.05
        share.append(np.mean(rejected[np.arange(20)][:15]) * 15 / max(1, rejected.sum()))
    assert np.mean(any_false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert within(np.mean(any_false), 0.05, 2000)
    assert np.mean(share) == pytest.approx(0.05 * 15 / 20, abs=0.01)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_no_family(correct) -> None:
    assert correct([]).size == 0
    for bad in ([1.2], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            correct(bad)
