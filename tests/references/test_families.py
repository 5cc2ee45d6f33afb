"""Settings taken together: the same verdicts, of averages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fragility.references import load_reference
from fragility.references.comparison import (
    AGREES,
    BOTH_AT_CHANCE,
    CANNOT_TELL,
    DIFFERS,
    Held,
    Sides,
    compared,
)
from fragility.references.declared import Quantity
from fragility.references.families import taken_together
from fragility.statistics import holm
from fragility.statistics.stratified import van_elteren
from tests.references.test_comparison import null

FAMILIES = load_reference("epifano-2023").families
L2 = FAMILIES["IRIS/figure1_l2_selu"].settings
TOP: Quantity = "hessian_top_eigenvalue"


def halves(quantity: Quantity, shift: float = 0.0, factor: float = 1.0) -> list[Held]:
    """The published runs of odd number in the place of ours."""
    asked = []
    for setting in L2.values():
        values = np.abs(np.array(setting.values[quantity], dtype=float))
        ours = factor * values[::2] + shift
        asked.append(Sides(quantity, True, ours.tolist(), values[1::2].tolist(), 25, 25))
    return compared(asked, seed=0)


def one(held: list[Held]) -> Held:
    return taken_together({"family": held}, seed=0)["family"]


def test_a_family_is_told_where_its_settings_are_not() -> None:
    assert {held.verdict for held in halves("spearman")} == {CANNOT_TELL}
    shifted = one(halves("spearman", 0.2))
    assert shifted.verdict == DIFFERS
    assert shifted.difference.value == pytest.approx(one(halves("spearman")).difference.value + 0.2)


def test_sides_are_means_of_medians_and_all_runs() -> None:
    held = halves("spearman")
    found = one(held)
    for side in ("ours", "published"):
        whole, parts = getattr(found, side), [getattr(h, side) for h in held]
        assert whole.median == pytest.approx(np.mean([part.median for part in parts]))
        assert whole.runs == 8 * 25
        assert whole.chance == parts[0].chance
    assert found.difference.value == pytest.approx(found.ours.median - found.published.median)
    strata = [(np.array(h.ours.values), np.array(h.published.values)) for h in held]
    assert found.ranks.p == pytest.approx(van_elteren(strata))


def test_eigenvalues_are_averaged_as_logarithms() -> None:
    found = one(halves(TOP, factor=1.2))
    same = one(halves(TOP))
    assert same.verdict == AGREES
    assert found.difference.value == pytest.approx(same.difference.value + math.log(1.2))
    medians = [np.median(h.ours.values) for h in halves(TOP)]
    assert same.ours.median == pytest.approx(stats.gmean(medians))
    assert one(halves(TOP, factor=2)).verdict == DIFFERS


def test_unrelated_lists_do_not_agree() -> None:
    asked = [
        Sides("spearman", True, null(i).tolist(), null(50 + i).tolist(), 25, 25) for i in range(8)
    ]
    found = one(compared(asked, seed=0))
    assert (found.verdict, found.reason) == (CANNOT_TELL, BOTH_AT_CHANCE)


def test_p_is_corrected_over_the_families_of_a_quantity() -> None:
    groups = {
        "a": halves("spearman", 0.05),
        "b": halves("spearman", 0.03),
        "c": halves("pearson", 0.03),
    }
    found = taken_together(groups, seed=0)
    assert list(found) == ["a", "b", "c"]
    raw = [found[key].ranks.p for key in "ab"]
    assert [found[key].ranks.corrected for key in "ab"] == pytest.approx(holm(raw))
    assert found["c"].ranks.corrected == found["c"].ranks.p


def test_settings_with_few_runs_are_left_out_and_one_is_no_family() -> None:
    held = halves("spearman")
    few = compared([Sides("spearman", True, [0.5] * 4, [0.5] * 50, 25, 25)], seed=0)
    assert one([*held, *few]) == one(held)
    assert taken_together({"one": [held[0], *few]}, seed=0) == {}
    assert taken_together({"none": []}, seed=0) == {}
