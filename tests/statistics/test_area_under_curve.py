"""Areas against scikit-learn's, their intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from fragility.statistics import area_under_curve


def _drawn(rng: np.random.Generator, shift: float, hits: int, others: int) -> tuple:
    values = np.concatenate([rng.normal(shift, 1, hits), rng.normal(0, 1, others)])
    return values, np.arange(hits + others) < hits


def test_area_is_that_of_scikit_learn_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    values, positive = _drawn(rng, 0.5, 20, 60)
    for tied in (values, values.round()):
        found = area_under_curve(tied, positive)
        assert found.value == pytest.approx(roc_auc_score(positive, tied), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_interval_holds_the_area(shift: float) -> None:
    rng = np.random.default_rng(1)
    true, held = norm.cdf(shift / np.sqrt(2)), 0
    for _ in range(1000):
        found = area_under_curve(*_drawn(rng, shift, 20, 150))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert 0.92 <= held / 1000 <= 0.98


def test_interval_does_not_collapse_at_the_ends() -> None:
    values, positive = np.arange(20.0), np.arange(20) >= 15
    best, worst = area_under_curve(values, positive), area_under_curve(-values, positive)
    assert (best.value, best.high) == (1, 1)
    assert (worst.value, worst.low) == (0, 0)
    assert best.low is not None
    assert 0.5 < best.low < 0.95
    assert worst.high == pytest.approx(1 - best.low)


def test_one_sort_of_examples_has_no_area() -> None:
    found = area_under_curve(np.arange(5.0), np.zeros(5, dtype=bool))
    assert found.value is None
    assert "nothing to tell apart" in str(found.reason)
