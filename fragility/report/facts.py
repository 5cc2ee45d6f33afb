"""What was recorded about an arm that can explain its agreement, one object an arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fragility.report.context import Combination, Context, Estimate
from fragility.store import report_queries as ask

TOP, BOTTOM, NEGATIVE, GRADIENT = (
    "hessian_top_eigenvalue",
    "hessian_bottom_eigenvalue",
    "hessian_negative_eigenvalues",
    "gradient_norm",
)


@dataclass(frozen=True)
class Facts:
    """Medians over the repeats of one combination; None where nothing was recorded.

    `placebo` and `effect` are median sizes of the measurable's change, with nothing removed and
    with one point removed; `judged` counts the retrainings that had a stopping rule;
    `offset` is the intercept where its interval excludes zero.
    """

    label: str
    parameters: float | None
    grad_norm: float | None
    top: float | None
    bottom: float | None
    negative: float | None
    retrainings: int
    converged: int
    judged: int
    effect: float | None
    placebo: float | None
    agreement: Estimate | None
    ceiling: float | None
    slope: float | None
    offset: float | None
    mismatch: str | None

    @property
    def stopped(self) -> float | None:
        """The share of retrainings that met their stopping rule, None if none had one."""
        return self.converged / self.retrainings if self.judged else None

    @property
    def drift(self) -> float | None:
        """The placebo's size as a share of a typical effect."""
        if self.placebo is None or not self.effect:
            return None
        return self.placebo / self.effect


def gather(context: Context, combination: Combination) -> Facts:
    """Returns the recorded facts of a combination."""
    base = _one(context, ask.BASE_MODELS, combination.arm, None)
    truth = _one(context, ask.RETRAININGS, combination.arm, combination.procedure)
    size = _one(context, ask.PLACEBO, combination.arm, combination.procedure)
    found = diagnostics(context, combination.arm)
    slope = context.estimates.get((combination, "slope"))
    primary = context.estimates.get((combination, context.primary or ""))
    return Facts(
        context.label(combination),
        base.get("parameters"),
        base.get("grad_norm", found.get(GRADIENT)),
        found.get(TOP),
        found.get(BOTTOM),
        found.get(NEGATIVE),
        truth.get("retrainings", 0),
        truth.get("converged", 0),
        truth.get("judged", 0),
        size.get("effect"),
        size.get("placebo"),
        primary,
        primary.ceiling if primary else None,
        slope.value if slope else None,
        _clear_of_zero(context.estimates.get((combination, "intercept"))),
        context.targets[combination]["mismatch"],
    )


def _clear_of_zero(found: Estimate | None) -> float | None:
    if found is None or found.value is None or found.low is None or found.high is None:
        return None
    return found.value if found.low > 0 or found.high < 0 else None


def diagnostics(context: Context, arm: str) -> Mapping[str, float]:
    """Returns the diagnostics of an arm's base models by name, medians over repeats."""
    return {
        row["name"]: row["value"]
        for row in context.source.ask(ask.DIAGNOSTICS)
        if row["arm"] == arm and row["estimator"] is None and row["value"] is not None
    }


def _one(context: Context, query: ask.Query, arm: str, procedure: str | None) -> Mapping[str, Any]:
    return next(
        (
            row
            for row in context.source.ask(query)
            if row["arm"] == arm and (procedure is None or row["procedure"] == procedure)
        ),
        {},
    )
