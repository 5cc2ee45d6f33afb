"""A linear mixed model: fixed factors, with repeats and test points as crossed random effects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from fragility.statistics.design_matrix import Factor, confounded, design
from fragility.statistics.estimate import CONFIDENCE, Array, not_finite
from fragility.statistics.restricted_likelihood import Codes, RestrictedLikelihood
from fragility.statistics.satterthwaite import Satterthwaite


@dataclass(frozen=True)
class FixedEffect:
    """What a level changes against the first level of its factor, or the slope of a covariate."""

    name: str
    value: float
    low: float
    high: float
    standard_error: float
    freedom: float
    p: float


@dataclass(frozen=True)
class FactorTest:
    """F of all columns of one factor together, with Satterthwaite's degrees of freedom."""

    factor: str
    f: float
    df_factor: int
    df_error: float
    p: float


@dataclass(frozen=True)
class MixedModel:
    """Effects, the intercept first, with a test for each factor, and the variance components.

    `variances` holds one for each random factor, and "residual". Everything is empty exactly when
    `reason` says why.
    """

    effects: tuple[FixedEffect, ...]
    tests: tuple[FactorTest, ...]
    variances: Mapping[str, float]
    rows: int
    reason: str | None


def mixed_model(
    values: Sequence[float] | Array,
    *,
    fixed: Mapping[str, Factor],
    random: Mapping[str, Sequence[Hashable]],
    confidence: float = CONFIDENCE,
) -> MixedModel:
    """Returns the REML fit of `values` (rows,), such as correlations as Fisher's z.

    `fixed` has labels or numbers for each row, first levels being the reference; `random` a label
    of each row for each random factor, such as its repeat and its test point. Random factors are
    crossed as their labels are; label the test points of every repeat differently when each repeat
    has its own. Assumes normal, additive random effects and residuals of one variance.

    Intervals and tests are Student's and F's with Satterthwaite's degrees of freedom, exact in
    balanced designs where an effect is judged by one mean square.

    No fit, with the reason, when a fixed factor cannot be told from another, a random factor has
    one level or one for each row, or nothing is left for the residual.

    Cost: some 200 evaluations, whatever the number of rows; each is a product of the numbers of
    levels of the two random factors, and the cube of the smaller.

    Source: H. D. Patterson, R. Thompson, Biometrika 58 (1971) 545-554; F. E. Satterthwaite, Biom.
    Bull. 2 (1946) 110-114; A. Kuznetsova et al., J. Stat. Softw. 82(13) (2017).
    """
    y = np.asarray(values, dtype=np.float64)
    columns = design(fixed, y.size)
    codes = {name: _codes(labels) for name, labels in random.items()}
    reason = (
        not_finite("values", y)
        or _too_few(y, len(columns.names))
        or confounded(columns)
        or _unusable(codes, y.size)
    )
    if reason is not None:
        return MixedModel((), (), {}, y.size, reason)
    # In units of the values' own spread, so that no number depends on theirs.
    centre, unit = float(y.mean()), float(y.std())
    likelihood = RestrictedLikelihood((y - centre) / unit, columns.columns, list(codes.values()))
    gamma = likelihood.best()
    if gamma is None:
        return MixedModel((), (), {}, y.size, "the random factors leave no residual")
    found = likelihood.solve(gamma)
    variance = found.residual / (likelihood.rows - likelihood.columns)
    freedom = Satterthwaite(likelihood, gamma, variance)
    coefficients = unit * found.coefficients
    coefficients[0] += centre
    covariance = unit**2 * variance * found.inverse
    parts = dict(zip(codes, gamma * variance, strict=True)) | {"residual": variance}
    return MixedModel(
        effects=tuple(
            _effect(name, coefficients[i], covariance[i, i], freedom.of(unit_row), confidence)
            for i, (name, unit_row) in enumerate(
                zip(columns.names, np.eye(len(coefficients)), strict=True)
            )
        ),
        tests=tuple(
            _test(name, list(places), coefficients, covariance, freedom)
            for name, places in columns.factors.items()
        ),
        variances={name: unit**2 * float(part) for name, part in parts.items()},
        rows=y.size,
        reason=None,
    )


def _effect(
    name: str, value: float, variance: float, freedom: float, confidence: float
) -> FixedEffect:
    error = float(np.sqrt(variance))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = float(2 * stdtr(freedom, -abs(value) / error))
    return FixedEffect(name, float(value), value - half, value + half, error, freedom, p)


def _test(
    name: str, places: list[int], coefficients: Array, covariance: Array, freedom: Satterthwaite
) -> FactorTest:
    """Returns the F test of some coefficients; of several, as Fai and Cornelius have it (1996)."""
    count = len(places)
    values, vectors = np.linalg.eigh(covariance[np.ix_(places, places)])
    contrasts = np.zeros((count, len(coefficients)))
    contrasts[:, places] = vectors.T
    f = float(np.mean((contrasts @ coefficients) ** 2 / values))
    each = np.array([freedom.of(contrast) for contrast in contrasts])
    if count == 1:
        error = float(each[0])
    else:
        expected = float(np.sum(each[each > 2] / (each[each > 2] - 2)))
        error = 2 * expected / (expected - count) if expected > count else 2.0
    return FactorTest(name, f, count, error, float(fdtrc(count, error, f)))


def _codes(labels: Sequence[Hashable]) -> Codes:
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.intp)


def _too_few(values: Array, columns: int) -> str | None:
    if values.size <= columns:
        return f"{values.size} values for {columns} coefficients"
    return "all values are equal" if np.ptp(values) == 0 else None


def _unusable(codes: Mapping[str, Codes], rows: int) -> str | None:
    if not codes:
        return "there is no random factor"
    for name, levels in codes.items():
        count = int(levels.max()) + 1
        if count == 1:
            return f"{name} has a single level: how far it varies cannot be seen"
        if count == rows:
            return f"{name} has a level for every row: it cannot be told from the residual"
    return None
