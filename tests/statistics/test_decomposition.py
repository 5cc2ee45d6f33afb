"""Shares of variation: planted effects, mean squares, and designs that do not support them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fragility.statistics import Decomposition, Estimate, decompose, sentence
from fragility.statistics.crossing import effects, subsets
from tests.statistics.walk import has_nan

GROUPS = ("validation procedure", "estimator", "model and data")
LEVELS = (4, 3, 2)
SD = (1.0, 0.6, 0.4)
INTERACTION, REPEAT, NOISE = 0.4, 0.2, 0.5


def planted() -> tuple[np.ndarray, np.ndarray]:
    """Values by choices with effects of exactly these deviations, and the shares that follow."""
    rng = np.random.default_rng(99)
    table = np.zeros(LEVELS)
    for axis, sd in enumerate(SD):
        shape = [1, 1, 1]
        shape[axis] = LEVELS[axis]
        main = rng.standard_normal(shape)
        table += sd * (main - main.mean()) / main.std()
    mixed = rng.standard_normal((*LEVELS[:2], 1))
    mixed += mixed.mean() - mixed.mean(axis=0) - mixed.mean(axis=1, keepdims=True)
    table += INTERACTION * mixed / mixed.std()
    variances = np.array([*np.square(SD), INTERACTION**2, REPEAT**2 + NOISE**2])
    return table, variances / variances.sum()


def study(rng: np.random.Generator, repeats: int) -> np.ndarray:
    table, _ = planted()
    common = REPEAT * rng.standard_normal((repeats, 1, 1, 1))
    return table + common + NOISE * rng.standard_normal((repeats, *LEVELS))


def decomposed(
    values: np.ndarray, keep: np.ndarray | None = None, *, draws: int = 500
) -> Decomposition:
    places = [place.ravel() for place in np.indices(values.shape)]
    rows = np.arange(values.size) if keep is None else keep
    repeat, *choices = (place[rows].tolist() for place in places)
    return decompose(
        values.ravel()[rows],
        {name: {"choice": labels} for name, labels in zip(GROUPS, choices, strict=True)},
        repeat,
        seed=0,
        draws=draws,
    )


def test_effects_are_orthogonal_and_sum_to_the_table() -> None:
    table = np.random.default_rng(0).standard_normal((2, 4, 3, 5))
    parts = dict(effects(table, 3))
    assert list(parts) == subsets(3)
    mean = table.mean(axis=(1, 2, 3), keepdims=True)
    assert sum(parts.values()) + mean == pytest.approx(table)
    variances = sum(np.mean(part**2, axis=(1, 2, 3)) for part in parts.values())
    assert variances == pytest.approx(table.var(axis=(1, 2, 3)))
    assert np.mean(table[0] * parts[0, 1][0]) == pytest.approx(np.mean(parts[0, 1][0] ** 2))


@pytest.mark.parametrize("dropped", [0.0, 0.2])
def test_planted_shares_are_recovered(dropped: float) -> None:
    """Without bias over 60 studies, with all rows and without a fifth of them."""
    _, shares = planted()
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = study(rng, 12)
        keep = np.flatnonzero(rng.random(values.size) >= dropped)
        one = decomposed(values, keep, draws=200)
        assert one.reason is None
        parts = {part.groups: part.share.value for part in one.parts}
        found.append([parts[name,] for name in GROUPS])
        found[-1] += [parts[GROUPS[:2]], one.residual.value, one.total(GROUPS[0]).value]
    expected = [*shares, shares[0] + shares[3] / 2]
    error = np.std(found, axis=0) / np.sqrt(60)
    assert np.all(np.abs(np.mean(found, axis=0) - expected) < 3 * error + 0.002)


def test_shares_sum_to_one() -> None:
    found = decomposed(study(np.random.default_rng(1), 5))
    residual = found.residual.value
    assert sum(part.share.value for part in found.parts) + residual == pytest.approx(1)
    assert sum(total.share.value for total in found.totals) + residual == pytest.approx(1)
    mixed = [part.share.value for part in found.parts if len(part.groups) > 1]
    assert found.interactions.value == pytest.approx(sum(mixed))
    assert [total.groups for total in found.totals] == [(name,) for name in GROUPS]
    assert [part.groups for part in found.parts[:3]] == [(name,) for name in GROUPS]


def test_balanced_tables_have_the_components_of_their_mean_squares() -> None:
    """Two groups, repeats crossed: (MS - MS with repeats)/n for each effect, as in the textbook."""
    rng = np.random.default_rng(2)
    s, a, b = 7, 4, 3
    values = (
        rng.standard_normal((1, a, 1))
        + 0.8 * rng.standard_normal((1, 1, b))
        + rng.standard_normal((s, 1, 1))
        + 0.7 * rng.standard_normal((1, a, b))
        + 0.5 * rng.standard_normal((s, a, b))
    )
    places = [place.ravel().tolist() for place in np.indices(values.shape)]
    found = decompose(
        values.ravel(), {"a": {"f": places[1]}, "b": {"f": places[2]}}, places[0], seed=0
    )
    parts = dict(effects(values, 2))
    expected = []
    for chosen in subsets(2):
        part = parts[chosen]
        mean = part.mean(axis=0)
        with_repeats = np.sum((part - mean) ** 2, axis=0).mean() / (s - 1)
        expected.append(np.mean(mean**2) - with_repeats / s)
    expected.append(values.var(axis=0, ddof=1).mean())
    assert min(expected) > 0
    assert found.variation == pytest.approx(sum(expected))
    shares = [*(part.share.value for part in found.parts), found.residual.value]
    assert shares == pytest.approx(np.array(expected) / sum(expected))


def test_noise_alone_is_nobodys() -> None:
    """What a share of mean squares would give to choices, where there is only noise."""
    values = np.random.default_rng(3).standard_normal((5, 4, 4, 4))
    found = decomposed(values)
    naive = values.mean(axis=0).var() / values.var()
    assert naive > 0.1
    assert found.residual.value > 0.9


def test_intervals_have_about_their_level() -> None:
    _, shares = planted()
    expected = [*shares[:4], shares[0] + shares[3] / 2]
    covered = np.zeros((250, 5))
    for seed, trial in enumerate(covered):
        found = decomposed(study(np.random.default_rng(seed), 12), draws=400)
        parts = {part.groups: part.share for part in found.parts}
        estimates = [*(parts[name,] for name in GROUPS), parts[GROUPS[:2]], found.total(GROUPS[0])]
        trial[:] = [e.low <= truth <= e.high for e, truth in zip(estimates, expected, strict=True)]
    assert covered.mean() >= 0.92
    assert covered.mean() <= 0.97
    assert np.all(covered.mean(axis=0) >= 0.90)


def test_levels_of_a_group_are_the_combinations_that_occur() -> None:
    """Two factors of one group that vary together are one choice of three, not of nine."""
    rng = np.random.default_rng(4)
    values = rng.standard_normal((4, 3, 2)) + np.arange(3)[:, None]
    repeat, first, second = (place.ravel() for place in np.indices(values.shape))
    together = decompose(
        values.ravel(),
        {
            "procedure": {"start": first.tolist(), "steps": (10 * first).tolist()},
            "b": {"b": second.tolist()},
        },
        repeat.tolist(),
        seed=0,
    )
    alone = decompose(
        values.ravel(),
        {"procedure": {"start": first.tolist()}, "b": {"b": second.tolist()}},
        repeat.tolist(),
        seed=0,
    )
    assert together == alone
    assert together.reason is None


def test_the_sentence() -> None:
    found = decomposed(study(np.random.default_rng(5), 10))
    total = found.total("validation procedure")
    assert sentence(found, "validation procedure", "Spearman correlation") == (
        f"{100 * total.value:.0f} % [{100 * total.low:.0f}, {100 * total.high:.0f}] of the"
        " variation in Spearman correlation comes from the validation procedure."
    )
    shares = tuple(replace(share, share=Estimate(0.71, 0.63, 0.78)) for share in found.totals)
    assert sentence(replace(found, totals=shares), "estimator", "Spearman correlation") == (
        "71 % [63, 78] of the variation in Spearman correlation comes from the estimator."
    )
    with pytest.raises(ValueError, match="is no group"):
        sentence(found, "weather", "Spearman correlation")


def test_one_repeat_has_shares_and_no_interval() -> None:
    found = decomposed(study(np.random.default_rng(6), 1))
    total = found.total("estimator")
    assert found.reason is None
    assert found.residual.value == 0
    assert sum(part.share.value for part in found.parts) == pytest.approx(1)
    assert (total.low, total.high, total.reason) == (None, None, "one repeat")
    said = sentence(found, "estimator", "Kendall's tau")
    assert said.endswith("comes from the estimator (no interval: one repeat).")


def test_few_repeats_have_shares_and_no_interval() -> None:
    total = decomposed(study(np.random.default_rng(7), 3)).total("estimator")
    assert total.value is not None
    assert (total.low, total.reason) == (None, "3 repeats are too few to resample")


def test_repeats_that_seldom_meet_have_no_interval() -> None:
    """Each combination has only two of the nine repeats: resamples lose one of them."""
    values = study(np.random.default_rng(8), 9)
    repeat, *choices = np.indices(values.shape)
    cell = (choices[0] + 2 * choices[1] + 3 * choices[2]) % 9
    keep = np.flatnonzero(((repeat == cell) | (repeat == (cell + 1) % 9)).ravel())
    found = decomposed(values, keep)
    assert found.reason is None
    assert found.residual.low is None
    assert "fewer than two" in found.residual.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("one level", "estimator has a single level: nothing varies with it"),
        ("empty", "1 of 24 combinations of validation procedure x estimator x model and data are"),
        ("twice", "some rows have the same choices and repeat"),
        ("constant", "the number does not vary"),
        ("nan", "1 of 144 values are not finite"),
        ("single", "some combinations have one repeat, others more"),
        ("nothing", "there are no values"),
    ],
)
def test_designs_that_do_not_support_it(change: str, reason: str) -> None:
    values = study(np.random.default_rng(9), 6)
    keep = np.arange(values.size)
    if change == "one level":
        values = values[:, :, :1]
        keep = np.arange(values.size)
    elif change == "empty":
        keep = keep[keep % 24 != 5]
    elif change == "single":
        keep = keep[(keep % 24 != 5) | (keep < 24)]
    elif change == "twice":
        keep = np.append(keep, 7)
    elif change == "constant":
        values = np.full_like(values, 0.1)
    elif change == "nan":
        values[1, 1, 1, 1] = np.nan
    else:
        keep = keep[:0]
    found = decomposed(values, keep)
    assert reason in found.reason
    assert (found.parts, found.totals, found.residual, found.variation) == ((), (), None, None)
    assert found.total("estimator") is None
    assert sentence(found, "estimator", "R2") == (
        f"Where the variation in R2 comes from cannot be said: {found.reason}."
    )


def test_one_group_has_nothing_to_share() -> None:
    found = decompose([1.0, 2.0], {"a": {"f": [0, 1]}}, [0, 0], seed=0)
    assert found.reason == "1 group of choices; 2 are needed to share variation out"


def test_no_answer_holds_nan() -> None:
    for repeats in (1, 2, 5):
        assert not has_nan(decomposed(study(np.random.default_rng(10), repeats)))
