"""The mixed model against closed forms, a dense restricted likelihood, and planted effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from fragility.statistics import MixedModel, mixed_model
from tests.statistics.walk import has_nan


def table(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    sd: tuple[float, float, float] = (0.4, 0.3, 0.5),
    arms: Sequence[float] = (0.0, 0.3, -0.2),
) -> np.ndarray:
    """Values by arm, repeat and test point."""
    _, s, t = shape
    return (
        0.5
        + np.asarray(arms)[:, None, None]
        + sd[0] * rng.standard_normal((1, s, 1))
        + sd[1] * rng.standard_normal((1, 1, t))
        + sd[2] * rng.standard_normal(shape)
    )


def fitted(values: np.ndarray, keep: np.ndarray | None = None) -> MixedModel:
    arm, repeat, test = (place.ravel() for place in np.indices(values.shape))
    keep = np.arange(values.size) if keep is None else keep
    return mixed_model(
        values.ravel()[keep],
        fixed={"arm": [f"arm {i}" for i in arm[keep]]},
        random={"repeat": repeat[keep].tolist(), "test": test[keep].tolist()},
    )


def test_balanced_tables_have_the_estimates_of_their_mean_squares() -> None:
    values = table(np.random.default_rng(0), (3, 12, 15))
    a, s, t = values.shape
    mean = values.mean()
    squares = [
        values[0].size * np.sum((values.mean(axis=(1, 2)) - mean) ** 2),
        a * t * np.sum((values.mean(axis=(0, 2)) - mean) ** 2),
        a * s * np.sum((values.mean(axis=(0, 1)) - mean) ** 2),
    ]
    freedom = values.size - 1 - (a - 1) - (s - 1) - (t - 1)
    noise = (np.sum((values - mean) ** 2) - sum(squares)) / freedom
    found = fitted(values)
    assert found.variances["residual"] == pytest.approx(noise, rel=1e-6)
    assert found.variances["repeat"] == pytest.approx(
        (squares[1] / (s - 1) - noise) / (a * t), rel=1e-6
    )
    assert found.variances["test"] == pytest.approx(
        (squares[2] / (t - 1) - noise) / (a * s), rel=1e-6
    )
    (test,) = found.tests
    f = squares[0] / (a - 1) / noise
    assert (test.f, test.df_factor) == (pytest.approx(f, rel=1e-6), 2)
    assert test.df_error == pytest.approx(freedom, rel=1e-3)
    assert test.p == pytest.approx(stats.f.sf(f, 2, freedom), rel=1e-3)
    _, first, second = found.effects
    means = values.mean(axis=(1, 2))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(2 * noise / (s * t))
    for effect, difference in ((first, means[1] - means[0]), (second, means[2] - means[0])):
        assert effect.value == pytest.approx(difference)
        assert effect.freedom == pytest.approx(freedom, rel=1e-3)
        assert (effect.low, effect.high) == pytest.approx(
            (difference - half, difference + half), rel=1e-4
        )


def test_a_factor_of_the_repeats_is_judged_by_the_repeats() -> None:
    """Half of the repeats in each arm: the t test of the repeats' means, with their freedom."""
    rng = np.random.default_rng(1)
    values = 0.5 * rng.standard_normal((20, 1)) + 0.3 * rng.standard_normal((20, 8))
    repeat = np.indices(values.shape)[0].ravel()
    found = mixed_model(
        values.ravel(),
        fixed={"depth": ["deep" if r % 2 else "shallow" for r in repeat]},
        random={"repeat": repeat.tolist()},
    )
    means = values.mean(axis=1)
    theirs = stats.ttest_ind(means[1::2], means[::2])
    effect = found.effects[1]
    assert effect.name == "depth: deep"
    assert effect.value / effect.standard_error == pytest.approx(theirs.statistic, rel=1e-5)
    assert effect.freedom == pytest.approx(18, rel=1e-3)
    assert effect.p == pytest.approx(theirs.pvalue, rel=1e-3)
    interval = theirs.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high), rel=1e-3)


def dense(y: np.ndarray, x: np.ndarray, factors: list[np.ndarray], v: np.ndarray) -> tuple:
    """-2 log restricted likelihood with the covariance written out, and what it estimates."""
    covariance = v[-1] * np.eye(len(y)) + sum(
        part * (codes[:, None] == codes) for part, codes in zip(v, factors, strict=False)
    )
    inverse = np.linalg.inv(covariance)
    information = x.T @ inverse @ x
    coefficients = np.linalg.solve(information, x.T @ inverse @ y)
    rest = y - x @ coefficients
    deviance = (
        np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1] + rest @ inverse @ rest
    )
    return deviance, coefficients, np.linalg.inv(information)


@pytest.mark.parametrize("random", [("repeat",), ("repeat", "test"), ("repeat", "test", "batch")])
def test_unbalanced_tables_maximize_the_restricted_likelihood(random: tuple[str, ...]) -> None:
    rng = np.random.default_rng(2)
    values = table(rng, (3, 6, 9))
    keep = np.flatnonzero(rng.random(values.size) < 0.6)
    arm, repeat, test = (place.ravel()[keep] for place in np.indices(values.shape))
    width, batch = rng.uniform(1, 4, len(keep)), rng.integers(0, 4, len(keep))
    y = values.ravel()[keep] + 0.1 * width + 0.3 * rng.standard_normal(4)[batch]
    codes = {"repeat": repeat, "test": test, "batch": batch}
    found = mixed_model(
        y,
        fixed={"arm": [str(a) for a in arm], "width": width},
        random={name: codes[name].tolist() for name in random},
    )
    levels = list(dict.fromkeys(arm))
    x = np.column_stack([np.ones(len(y)), *(arm == level for level in levels[1:]), width])
    factors = [codes[name] for name in random]
    best = minimize(
        lambda logs: dense(y, x, factors, np.exp(logs))[0],
        np.full(len(random) + 1, -2.0),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000},
    )
    v = np.array([found.variances[name] for name in (*random, "residual")])
    deviance, coefficients, covariance = dense(y, x, factors, v)
    assert deviance <= best.fun + 1e-7
    assert v == pytest.approx(np.exp(best.x), abs=1e-4)
    assert [effect.value for effect in found.effects] == pytest.approx(coefficients)
    errors = [effect.standard_error for effect in found.effects]
    assert errors == pytest.approx(np.sqrt(np.diag(covariance)))
    assert [effect.name for effect in found.effects] == [
        "intercept",
        *(f"arm: {level}" for level in levels[1:]),
        "width",
    ]


def test_planted_variances_are_recovered() -> None:
    """Without a third of the rows, over 40 studies."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = table(rng, (3, 12, 10))
        found.append(fitted(values, np.flatnonzero(rng.random(values.size) < 0.67)).variances)
    for name, planted in (("repeat", 0.16), ("test", 0.09), ("residual", 0.25)):
        each = np.array([variances[name] for variances in found])
        assert abs(each.mean() - planted) < 3 * each.std() / np.sqrt(40)


def test_intervals_have_their_level() -> None:
    """Of few repeats and test points: of differences within them, and of the mean over them."""
    covered = np.zeros((250, 2))
    for seed, trial in enumerate(covered):
        rng = np.random.default_rng(seed)
        values = table(rng, (2, 8, 8), arms=(0.0, 0.3))
        found = fitted(values, np.flatnonzero(rng.random(values.size) < 0.9))
        for i, planted in enumerate((0.5, 0.3)):
            trial[i] = found.effects[i].low <= planted <= found.effects[i].high
        if found.effects[1].name == "arm: arm 0":
            trial[1] = found.effects[1].low <= -0.3 <= found.effects[1].high
    assert np.all((covered.mean(axis=0) >= 0.92) & (covered.mean(axis=0) <= 0.97))


def test_a_variance_that_is_not_there_is_zero() -> None:
    rng = np.random.default_rng(5)
    zero = 0
    for _ in range(40):
        found = fitted(table(rng, (2, 8, 8), sd=(0.0, 0.5, 0.5), arms=(0.0, 0.0)))
        zero += found.variances["repeat"] == 0
        assert found.variances["repeat"] < 0.1
        assert not has_nan(found)
    assert 10 <= zero <= 35


def test_the_unit_does_not_matter() -> None:
    values = table(np.random.default_rng(6), (2, 6, 5), arms=(0.0, 0.2))
    small, large = fitted(values), fitted(1e6 * values + 1e7)
    assert large.variances["test"] == pytest.approx(1e12 * small.variances["test"], rel=1e-4)
    assert large.effects[1].p == pytest.approx(small.effects[1].p, rel=1e-4)
    assert large.effects[0].value == pytest.approx(1e7 + 1e6 * small.effects[0].value)


def test_thousands_of_rows() -> None:
    rng = np.random.default_rng(7)
    values = table(rng, (3, 40, 60))
    found = fitted(values, np.flatnonzero(rng.random(values.size) < 0.7))
    assert found.rows > 4500
    assert found.variances["residual"] == pytest.approx(0.25, rel=0.06)
    assert {effect.name for effect in found.effects} == {"intercept", "arm: arm 1", "arm: arm 2"}


ROWS = [1.0, 2.0, 4.0, 3.0, 5.0, 9.0]
HALVES = ["a", "a", "a", "b", "b", "b"]
PAIRS = [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("values", "fixed", "random", "reason"),
    [
        (ROWS, {"arm": ["a"] * 6}, {"repeat": PAIRS}, "arm has a single level"),
        (
            ROWS,
            {"arm": HALVES, "same": ["x", "x", "x", "y", "y", "y"]},
            {"repeat": PAIRS},
            "the effect of same cannot be told from those of the factors before it",
        ),
        (ROWS, {"width": np.full(6, 3.0)}, {"repeat": PAIRS}, "the effect of width cannot be told"),
        (ROWS, {}, {"repeat": [0] * 6}, "repeat has a single level"),
        (ROWS, {}, {"repeat": list(range(6))}, "repeat has a level for every row"),
        (ROWS, {}, {}, "there is no random factor"),
        ([*ROWS[:5], np.nan], {}, {"repeat": PAIRS}, "1 of 6 values are not finite"),
        ([2.0] * 6, {}, {"repeat": PAIRS}, "all values are equal"),
        ([1.0, 2.0], {"arm": ["a", "b"]}, {"repeat": [0, 1]}, "2 values for 2 coefficients"),
        ([1.0, 1.0, 2.0, 2.0, 7.0, 7.0], {}, {"repeat": PAIRS}, "leave no residual"),
    ],
)
def test_where_there_is_no_fit(values, fixed, random, reason: str) -> None:
    found = mixed_model(values, fixed=fixed, random=random)
    assert reason in found.reason
    assert (found.effects, found.tests, found.variances) == ((), (), {})
