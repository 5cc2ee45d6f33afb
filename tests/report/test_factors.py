"""Tests of factors on planted agreements: verdicts, their correction, and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fragility.report.comparisons import CANNOT_TELL, DIFFERS, compare, family
from fragility.report.declared import EQUIVALENCE_MARGIN, declared, equivalence_margin
from fragility.report.page import page
from fragility.report.sections import factors
from fragility.statistics import benjamini_hochberg
from fragility.study.model import Study
from tests.report import world
from tests.report.planted import agreements
from tests.report.test_page import assert_sound

DEPTH = "models.mlp.depth"
DEPTHS = [{DEPTH: depth} for depth in (1, 2, 4)]


def noise(*key: int, size: int) -> np.ndarray:
    return np.random.default_rng(key).normal(size=size)


def planted(effect: float, spread: float, tests: int = 8):
    """Falls by `effect` at each further depth; test points differ far more than that."""

    def values(setting: Mapping[str, Any], estimator: str, procedure: str, repeat: int):
        place = [1, 2, 4].index(setting[DEPTH])
        common = 0.6 + 0.1 * noise(0, size=tests) + 0.05 * noise(1, repeat, size=1)
        return common - effect * place + spread * noise(2, repeat, place, size=tests)

    return values


def rows(effect: float, spread: float, **settings: Any):
    context = agreements(DEPTHS, planted(effect, spread), repeats=6, **settings)
    (drawn,) = factors.section(context).data["factors"]
    return drawn, factors.section(context).data


def test_a_planted_effect_differs() -> None:
    drawn, _ = rows(0.1, 0.02)
    first = drawn["tests"][0]
    assert first.verdict == "differs"
    value = float(first.effect.partition(" ")[0].replace("−", "-"))
    assert value == pytest.approx(-0.2, abs=0.02)
    assert first.over == "6 repeats, 8 test points"
    assert "From 1 to 4 of models.mlp.depth, Pearson changes by −0." in drawn["chart"].reading
    assert drawn["chart"].reading.endswith("Of 2 comparisons over it, 2 differ.")


def test_no_effect_is_only_ever_called_equivalent_within_the_margin() -> None:
    drawn, data = rows(0.0, 0.02)
    assert drawn["tests"][0].verdict == "equivalent within 0.1"
    drawn, _ = rows(0.0, 0.6)
    assert drawn["tests"][0].verdict == "cannot tell"
    assert "about 2 this study cannot tell" in drawn["chart"].reading
    assert "no effect" not in data["rules"] + data["method"]


def test_a_small_effect_is_equivalent_and_said_to_be_there() -> None:
    drawn, _ = rows(0.02, 0.01)
    assert drawn["tests"][0].verdict == "equivalent within 0.1"
    assert drawn["tests"][0].because[-1] == "it differs, by less"


def test_the_studys_margin_decides() -> None:
    text = world.STUDY_TEXT + "equivalence_margin: 0.01\n"
    drawn, data = rows(0.02, 0.01, study_text=text)
    assert drawn["tests"][0].verdict == "differs"
    assert "a difference of 0.01 or more" in data["rules"]
    drawn, _ = rows(0.02, 0.01, study_text=text, overrides='["equivalence_margin=0.2"]')
    assert drawn["tests"][0].verdict == "equivalent within 0.2"


def test_margins_that_are_not_declared_are_the_studys_default() -> None:
    assert Study.model_fields["equivalence_margin"].default == EQUIVALENCE_MARGIN
    assert equivalence_margin({"study_text": "study: a"}) == EQUIVALENCE_MARGIN
    assert declared({"study_text": "a: [", "overrides": None}, "a") is None


def test_one_repeat_cannot_tell() -> None:
    context = agreements(DEPTHS, planted(0.1, 0.02), repeats=1)
    (drawn,) = factors.section(context).data["factors"]
    assert drawn["tests"][0].verdict == "cannot tell"
    assert drawn["tests"][0].because == ["one repeat says nothing of others"]
    assert (
        drawn["tests"][0].anova == "one value a group says nothing of the differences within groups"
    )


def test_factors_that_vary_together_are_not_told_apart() -> None:
    def values(setting: Mapping[str, Any], estimator: str, procedure: str, repeat: int):
        return 0.1 * setting[DEPTH] + 0.05 * noise(repeat, setting[DEPTH], size=4)

    together = [{DEPTH: depth, "models.mlp.width": 10 * depth} for depth in (1, 2, 3)]
    for drawn in factors.section(agreements(together, values, repeats=4)).data["factors"]:
        assert "cannot be told from what varies with it" in drawn["chart"].reading
        assert drawn["chart"].panels
        assert drawn["tests"] == []


ACTIVATION = "models.mlp.activation"


def test_the_average_over_everything_else_is_that_of_its_changes() -> None:
    """Over two settings within repeats, with Student's interval of scipy; unrelated to the third.

    One setting has one value of the factor alone, and one repeat lacks a setting: neither counts.
    """
    settings = [{DEPTH: depth, ACTIVATION: name} for depth in (1, 4) for name in ("relu", "tanh")]
    settings.append({DEPTH: 4, ACTIVATION: "selu"})
    names = ("relu", "tanh", "selu")

    def values(setting: Mapping[str, Any], estimator: str, procedure: str, repeat: int):
        key = (5, repeat, setting[DEPTH], names.index(setting[ACTIVATION]))
        return 0.3 - 0.05 * setting[DEPTH] + 0.1 * noise(*key, size=1)

    def skip(setting: Mapping[str, Any], estimator: str, procedure: str, repeat: int) -> bool:
        return repeat == 5 and setting[DEPTH] == 1 and setting[ACTIVATION] == "tanh"

    context = agreements(settings, values, repeats=6, skip=skip)
    data = factors.section(context).data["factors"]
    drawn = next(one for one in data if one["ends"] == ("1", "4"))

    def at(depth: int, name: str, repeat: int) -> float:
        return float(values({DEPTH: depth, ACTIVATION: name}, "", "", repeat)[0])

    changes = [
        np.mean([at(4, name, repeat) - at(1, name, repeat) for name in ("relu", "tanh")])
        for repeat in range(5)
    ]
    low, high = stats.t.interval(0.95, 4, np.mean(changes), stats.sem(changes))
    pearson, spearman = drawn["averages"]
    assert pearson.quantity == "Pearson"
    assert pearson.over == "2 settings, 5 repeats"
    found = [float(word.strip("[],").replace("−", "-")) for word in pearson.change.split()]
    assert found == pytest.approx([np.mean(changes), low, high], abs=1e-3)
    assert spearman.change == pearson.change


def test_one_setting_has_no_average_over_others() -> None:
    drawn, _ = rows(0.1, 0.02)
    assert drawn["averages"] == []


def test_what_only_these_test_points_show_is_said() -> None:
    """Repeats agree to the last digits, test points do not: ANOVA takes them as all there are."""

    def values(setting: Mapping[str, Any], estimator: str, procedure: str, repeat: int):
        by_test = 0.05 + 0.4 * noise(3, size=4)
        place = setting[DEPTH] == 4
        return 0.2 + place * by_test + 0.001 * noise(4, repeat, int(place), size=4)

    context = agreements([{DEPTH: 1}, {DEPTH: 4}], values, repeats=6)
    (drawn,) = factors.section(context).data["factors"]
    first = drawn["tests"][0]
    assert first.verdict == "cannot tell"
    assert first.because[-1] == "it differs over these test points; of others nobody can tell"


def test_what_a_factor_does_not_touch_is_identical_and_not_in_the_family() -> None:
    def values(setting, estimator, procedure, repeat):
        damped = setting["estimators.exact.damping"] if estimator == "exact" else 0.0
        return 0.5 + 0.1 * noise(repeat, size=5) + damped * (1 + 0.1 * noise(repeat, 1, size=5))

    settings = [{"estimators.exact.damping": damping} for damping in (0.1, 0.3)]
    context = agreements(settings, values, repeats=6, estimators=("exact", "grad_dot"))
    data = factors.section(context).data
    (drawn,) = data["factors"]
    assert [(test.quantity, test.verdict) for test in drawn["tests"]] == [
        ("Pearson · exact", "differs"),
        ("Spearman · exact", "differs"),
    ]
    assert [panel.title for panel in drawn["chart"].panels] == [
        "Pearson · exact",
        "Spearman · exact",
    ]
    assert drawn["chart"].notes == [
        "The very same at every value, and left out: Pearson · grad_dot and Spearman · grad_dot."
    ]
    assert data["rules"].startswith("All 2 comparisons")


def comparison(name: str, levels: list[np.ndarray], *, correlation: bool = True):
    values = {str(place): list(level) for place, level in enumerate(levels)}
    units = {n: {(r, None): x for r, x in enumerate(level)} for n, level in values.items()}
    labels = ("f", name, "all cells")
    return compare(labels, "pearson" if correlation else "top", list(values), values, units,
                   margin=0.1, correlation=correlation, logarithmic=not correlation)  # fmt: skip


def test_all_p_values_are_corrected_over_the_whole_family() -> None:
    rng = np.random.default_rng(0)
    given = [
        [0.5 + 0.1 * rng.normal(size=9), 0.5 + k / 20 + 0.1 * rng.normal(size=9)] for k in range(5)
    ]
    every = [comparison(str(k), levels) for k, levels in enumerate(given)]
    found = family(every, 0.1)
    paired = [stats.ttest_rel(*levels).pvalue for levels in given]
    assert [j.p_different for j in found.judged] == pytest.approx(benjamini_hochberg(paired))
    anova = [stats.f_oneway(*levels).pvalue for levels in given]
    assert [j.p_anova for j in found.judged] == pytest.approx(benjamini_hochberg(anova))
    ranks = [stats.kruskal(*levels).pvalue for levels in given]
    assert [j.p_ranks for j in found.judged] == pytest.approx(benjamini_hochberg(ranks))
    assert (found.tested, found.anovas) == (5, 5)


def test_false_claims_in_a_family_stay_below_the_level() -> None:
    """Of 200 studies with ten comparisons and nothing to find, about 5 % make any claim."""
    rng = np.random.default_rng(1)
    claims = 0
    for _ in range(200):
        every = [comparison("x", [rng.normal(size=6), rng.normal(size=6)]) for _ in range(10)]
        claims += any(judged.verdict == DIFFERS for judged in family(every, 0.1).judged)
    assert claims / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_the_margin_of_correlations_says_nothing_of_eigenvalues() -> None:
    level = np.exp(np.random.default_rng(2).normal(size=9))
    alike = level * np.exp(1e-4 * np.random.default_rng(3).normal(size=9))
    same = comparison("top", [level, alike], correlation=False)
    (judged,) = family([same], 0.1).judged
    assert (judged.verdict, judged.p_equivalent) == (CANNOT_TELL, None)
    larger = comparison("top", [level, level * np.exp(1 + 0.1 * level)], correlation=False)
    (judged,) = family([larger], 0.1).judged
    assert judged.verdict == DIFFERS


def test_the_page_is_sound_with_planted_factors() -> None:
    context = agreements(DEPTHS, planted(0.1, 0.02), repeats=6, models=("mlp", "wide"))
    text = assert_sound(page(context.source._connection, world.RUN))
    assert "corrected by Benjamini and Hochberg's" in text
    assert "ANOVA" in text
