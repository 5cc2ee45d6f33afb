"""Intervals, ceilings and null bands of agreements: NumPy, planted noise, and their level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.report import intervals
from fragility.report.averages import Sample, _median, median_agreement
from fragility.report.context import Context
from fragility.report.sections import agreement as section
from tests.report import truths, world
from tests.report.test_sections import study
from tests.report.truths import draws, replicated
from tests.statistics.walk import within


def sample(x: np.ndarray, effects: np.ndarray) -> Sample:
    """Of x (repeats, tests, removals) and effects (repeats, replicates, tests, removals)."""
    return Sample(tuple(x), tuple(effects))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def test_the_weighted_median_is_that_of_repeated_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((5, 3, 7))
    values[1, 2, [0, 4]] = np.nan
    counts = rng.integers(0, 4, (5, 7)).astype(float)
    found = _median(values, counts)
    for draw in range(5):
        for repeat in range(3):
            row = np.repeat(values[draw, repeat], counts[draw].astype(int))
            expected = np.median(row[np.isfinite(row)])
            assert found[draw, repeat] == pytest.approx(expected)
    assert np.isnan(_median(values, np.zeros((5, 7)))).all()


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_the_value_is_the_mean_of_medians_and_the_interval_holds_it(kind: str) -> None:
    x = draws(1, (6, 9, 30))
    y = x + draws(2, (6, 9, 30))
    function = pearson if kind == "pearson" else lambda a, b: stats.spearmanr(a, b).statistic
    found = median_agreement(sample(x, y[:, None]), kind, seed=0)
    medians = [np.median([function(a, b) for a, b in zip(*pair, strict=True)])
               for pair in zip(x, y, strict=True)]  # fmt: skip
    assert found is not None
    assert found.value == pytest.approx(np.mean(medians))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found == median_agreement(sample(x, y[:, None]), kind, seed=0)


def test_few_points_widen_the_interval_that_repeats_alone_call_narrow() -> None:
    """All repeats share their few training points: Student's interval over repeats misses that."""
    base, noise = draws(3, (1, 1, 12)), draws(4, (1, 1, 12))
    x = base + 0.02 * draws(5, (6, 1, 12))
    y = base + noise + 0.02 * draws(6, (6, 1, 12))
    found = median_agreement(sample(x, y[:, None]), "pearson", seed=0)
    each = [pearson(a[0], b[0]) for a, b in zip(x, y, strict=True)]
    low, high = stats.t.interval(0.95, 5, np.mean(each), stats.sem(each))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 5 * (high - low)


def test_a_table_shows_the_bootstraps_interval_and_says_what_it_is_over() -> None:
    context = study(world.Arm("mlp", noise=0.5), repeats=6, tests=4)
    (combination,) = context.combinations
    found = context.estimates[combination, "pearson"]
    assert found.nested
    assert not context.estimates[combination, "slope"].nested
    seed = intervals.derive_seed(0, "report intervals")
    pairs = intervals.sample(context, combination)
    assert pairs is not None
    expected = median_agreement(pairs, "pearson", seed)
    assert expected is not None
    assert (found.low, found.high) == (expected.low, expected.high)
    assert (
        "a nested bootstrap's over repeats, test points and training points"
        in (section.section(context).data["over"])
    )


def test_a_table_of_other_pairs_keeps_its_interval() -> None:
    context = study(world.Arm("mlp", noise=0.5), repeats=6, tests=4)
    # Made-up stores hold 0.95 times Pearson's correlation in the place of Spearman's.
    assert not context.estimates[context.combinations[0], "spearman"].nested


def test_the_ceiling_has_the_interval_of_the_planted_noise() -> None:
    filled = world.World()
    filled.add("runs", world.run_row())
    world.populate(filled, [world.Arm("mlp", noise=0.5)], repeats=6, tests=6, replicates=4)
    context = truths.context(filled)
    found = context.estimates[context.combinations[0], "pearson"]
    # Scores are Student's with 4 degrees of freedom times 1e-3, noise is 0.1e-3 a replicate.
    expected = 1 / (1 + 0.1**2 / 4 / (2 + 0.5**2))
    assert found.ceiling == pytest.approx(expected**0.5, abs=0.002)
    assert found.ceiling_low is not None
    assert found.ceiling_high is not None
    assert found.ceiling_low < found.ceiling < found.ceiling_high


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_the_level_of_a_band_is_exact(kind: str) -> None:
    """A removal is alike in all test points, which permuting each by itself would miss."""
    rng = np.random.default_rng(0)
    outside = 0
    for trial in range(600):
        x = rng.standard_normal((2, 1, 10)) + 0.5 * rng.standard_normal((2, 5, 10))
        y = rng.standard_t(3, (2, 1, 10)) + 0.5 * rng.standard_t(3, (2, 5, 10))
        low, high = intervals.permuted(sample(x, y[:, None]), kind, np.median, trial)
        # Spearman's correlation is Pearson's of ranks.
        ranked = (x, y) if kind == "pearson" else (stats.rankdata(v, axis=-1) for v in (x, y))
        value = np.mean([np.median([pearson(a, b) for a, b in zip(*pair, strict=True)])
                         for pair in zip(*ranked, strict=True)])  # fmt: skip
        outside += not low <= value <= high
    assert within(outside / 600, 0.05, 600)


def test_other_metrics_have_the_band_of_a_single_test_point() -> None:
    context = study(world.Arm("mlp"))
    (combination,) = context.combinations
    low, high = intervals.band(context, combination, "kendall", 25)
    assert high == -low == pytest.approx(1.96 * np.sqrt(2 * 55 / (9 * 25 * 24)), abs=0.02)
    assert intervals.band(context, combination, "slope", 25) is None
    permuted = intervals.band(context, combination, "pearson", 25)
    assert permuted is not None
    assert permuted[1] < high + 0.1


def test_replicates_are_averaged_before_they_are_permuted() -> None:
    x = draws(1, (1, 3, 20))
    effects = replicated(x, 4, 0.5)
    one = intervals.permuted(sample(x, effects), "pearson", np.mean, 0)
    assert one == intervals.permuted(
        sample(x, effects.mean(axis=1)[:, None]), "pearson", np.mean, 0
    )


def test_many_agreements_keep_the_intervals_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "MOST", 0)
    context: Context = study(world.Arm("mlp", noise=0.5), repeats=6, tests=4)
    assert not context.estimates[context.combinations[0], "pearson"].nested


def test_points_drawn_within_strata_are_drawn_again_within_them() -> None:
    filled = world.World()
    filled.add("runs", world.run_row())
    world.populate(filled, [world.Arm("mlp", noise=0.5)], tests=4, points=20)
    plain = truths.context(filled)
    (combination,) = plain.combinations
    assert intervals.sample(plain, combination).strata == ()
    (block,) = [b for table, b in filled.blocks if table == "points" and b["split"][0] == "train"]
    block["role"] = np.full(20, "stratified", dtype=object)
    block["probability"] = np.where(np.arange(20) < 5, 1.0, 0.25)
    drawn = intervals.sample(truths.context(filled), combination)
    assert drawn.strata == (tuple(range(5, 20)), tuple(range(5)))
    assert drawn.panel.axes[2].strata == drawn.strata
    block["probability"] = np.where(np.arange(20) < 1, 1.0, 0.25)
    assert intervals.sample(truths.context(filled), combination).strata == ()
