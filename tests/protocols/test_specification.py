from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from fragility.protocols import PROTOCOLS, Curve, Stored, curve
from tests.protocols.test_protocols import POINTS, TESTS, stored
from tests.tiny import TINY, changed, plan


def value(found: Curve, *choices: str) -> float:
    """The value of test points, removals, truth, metric and average so chosen."""
    (one,) = (s for s in found.specifications if choices == s.choices)
    return one.number.value


def test_specifications_are_what_they_say() -> None:
    repeats = [stored(seed) for seed in range(3)]
    found = curve({"w": repeats})
    per_repeat = [
        np.mean([spearmanr(s, e).statistic for s, e in zip(r.scores, r.effects, strict=True)])
        for r in repeats
    ]
    expected = np.mean(per_repeat)
    assert value(found, "all", "all", "w\nmean", "spearman", "per_test") == pytest.approx(expected)
    pooled = np.mean([pearsonr(r.scores.ravel(), r.single.ravel()).statistic for r in repeats])
    assert value(found, "all", "all", "w\nsingle", "pearson", "pooled") == pytest.approx(pooled)
    scores = np.mean([r.scores for r in repeats], axis=0)
    effects = np.mean([r.effects for r in repeats], axis=0)
    means = np.mean([pearsonr(s, e).statistic for s, e in zip(scores, effects, strict=True)])
    assert value(found, "all", "all", "w\nmean", "pearson", "of_means") == pytest.approx(means)


def test_selected_points_are_those_of_each_test_point() -> None:
    one = stored()
    found = curve({"w": [one]})
    count = POINTS // 2
    band, top = [], []
    for s, e in zip(one.scores, one.effects, strict=True):
        by_size = np.argsort(np.abs(s))
        near = by_size[np.argsort(np.abs(np.arange(POINTS) - 0.3 * (POINTS - 1)), kind="stable")]
        band.append(pearsonr(s[near[:count]], e[near[:count]]).statistic)
        highest = np.argsort(-s)[:count]
        top.append(pearsonr(s[highest], e[highest]).statistic)
    at = ("w\nmean", "pearson", "per_test")
    assert value(found, "all", "band", *at) == pytest.approx(np.mean(band))
    assert value(found, "all", "top_score", *at) == pytest.approx(np.mean(top))
    middle = int(np.argsort(one.losses)[(TESTS - 1) // 2])
    expected = spearmanr(one.scores[middle], one.effects[middle]).statistic
    at = ("median_loss", "all", "w\nmean", "spearman", "per_test")
    assert value(found, *at) == pytest.approx(expected)


def test_means_over_repeats_are_of_the_pairs_that_all_hold() -> None:
    full = stored(0)
    part = Stored(
        "warm", full.tests[1:], full.removed[5:], full.scores[1:, 5:], full.effects[1:, 5:],
        full.single[1:, 5:], full.losses[1:], 3,
    )  # fmt: skip
    found = curve({"w": [full, part]})
    expected = np.mean(
        [
            pearsonr(s, e).statistic
            for s, e in zip(full.scores[1:, 5:], full.effects[1:, 5:], strict=True)
        ]
    )
    at = ("all", "all", "w\nmean", "pearson", "of_means")
    assert value(found, *at) == pytest.approx(expected)


def test_selection_alone_moves_the_number() -> None:
    """A joint distribution held fixed: many small effects that scores miss, few large that not."""
    rng = np.random.default_rng(0)
    tests, n = 20, 5000
    effects = rng.standard_t(2.2, (tests, n))
    scores = effects + 0.35 * np.median(np.abs(effects)) * rng.normal(size=(tests, n))
    arm = {
        "w": [
            Stored(
                "warm", np.arange(tests), np.arange(n), scores, effects, effects,
                rng.random(tests),
            )
        ]
    }  # fmt: skip
    found = curve(arm)
    at = ("w\nsingle", "spearman", "per_test")
    population = value(found, "all", "all", *at)
    np.testing.assert_allclose(
        population,
        np.mean([spearmanr(s, e).statistic for s, e in zip(scores, effects, strict=True)]),
    )
    top, band = value(found, "all", "top_size", *at), value(found, "all", "band", *at)
    random, one_sign = value(found, "all", "random", *at), value(found, "all", "top_score", *at)
    # Spearman over 40 random points, averaged over 20 test points, has a deviation below 0.02.
    assert abs(random - population) < 0.06
    # Two signs far apart, or their two narrow bands, are ranked by the sign; one sign is not.
    assert top > one_sign
    assert max(top, random) - min(band, one_sign) > 0.1
    ends = [s.number.value for s in found.signed]
    assert ends == sorted(ends)
    assert ends[0] <= min(band, one_sign)


def test_choices_that_cannot_differ_are_made_once() -> None:
    one = Stored(
        "warm", np.arange(1), np.arange(10), np.arange(10.0)[None], np.arange(10.0)[None] ** 2,
        np.arange(10.0)[None], np.zeros(1),
    )  # fmt: skip
    found = curve({"w": [one]})
    assert [s.rule.measure for s in found.specifications].count("pearson") == 1
    assert len(found.specifications) == 3


def test_groups_and_undefined_values_are_not_on_the_curve() -> None:
    flat = stored(effects=np.zeros((TESTS, POINTS)), single=np.zeros((TESTS, POINTS)))
    assert curve({"g": [stored(group=True)]}).specifications == ()
    found = curve({"w": [flat]})
    assert found.specifications == ()
    assert found.undefined > 0


def test_the_choice_that_moves_most_comes_first() -> None:
    found = curve(
        {"w": [stored()], "opposite": [stored(effects=-stored().effects, single=-stored().single)]}
    )
    dimension, lowest, low, highest, high = found.attribution()[0]
    assert (dimension, lowest.split("\n")[0], highest.split("\n")[0]) == ("truth", "opposite", "w")
    of_lowest = [s.number.value for s in found.signed if s.choices[2] == lowest]
    np.testing.assert_allclose(low, np.mean(of_lowest))
    assert high > low


def test_nothing_is_computed_for_protocols() -> None:
    declared = plan(changed(TINY, {"protocols": list(PROTOCOLS.methods)}))
    assert declared.tasks.keys() == plan(TINY).tasks.keys()


def test_torch_is_not_imported() -> None:
    code = "import sys, fragility.protocols as p; p.PROTOCOLS.methods; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
