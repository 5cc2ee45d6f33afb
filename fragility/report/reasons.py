"""Why arms agree or do not: rules over recorded facts, each one sentence with its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fragility.report.facts import Facts
from fragility.report.text import count, listing, number, percent, plural, ratio, whole

STATIONARY = 1e-5
DRIFT = 0.05


@dataclass(frozen=True)
class Reason:
    """One rule that applied: what differs, in a word and in numbers."""

    name: str
    text: str


def reasons(worst: Facts, best: Facts | None) -> list[Reason]:
    """Returns the rules that apply to the worst arm beside the best, then what holds for each."""
    rules = (_stationary, _curvature, _flat, _stopping, _drift, _target, _noise, _scale)
    found = [reason for rule in rules if (reason := rule(worst, best)) is not None]
    arms = [worst] if best is None else [best, worst]
    return found + [
        reason for facts in arms for rule in (_holds, _offset) if (reason := rule(facts))
    ]


Rule = Callable[[Facts, Facts | None], Reason | None]


def _stationary(worst: Facts, best: Facts | None) -> Reason | None:
    norm, other = worst.grad_norm, best.grad_norm if best else None
    if norm is None or norm <= STATIONARY:
        return None
    against = "" if other is None or best is None else f", {best.label} to {number(other)}"
    return Reason(
        "Not stationary",
        f"{worst.label} was trained to a gradient norm of {number(norm)}{against}; the score"
        " assumes zero.",
    )


def _curvature(worst: Facts, best: Facts | None) -> Reason | None:
    other = best.negative if best else None
    if not worst.negative or (other or 0) >= worst.negative:
        return None
    of = f" of {count(worst.parameters)}" if worst.parameters else ""
    lowest = "" if worst.bottom is None else f", the lowest at {number(worst.bottom)}"
    against = ""
    if best and other is not None:
        against = f"; that of {best.label} has {whole(other) if other else 'none'}"
    return Reason(
        "Not at a minimum",
        f"the Hessian of {worst.label} has {whole(worst.negative)} negative eigenvalues{of}"
        f"{lowest}{against}.",
    )


def _flat(worst: Facts, best: Facts | None) -> Reason | None:
    if best is None or worst.bottom is None or best.bottom is None:
        return None
    if not 0 < worst.bottom < best.bottom / 2:
        return None
    return Reason(
        "Flatter",
        f"the lowest Hessian eigenvalue of {worst.label} is {number(worst.bottom)}, of"
        f" {best.label} {number(best.bottom)}; what a first-order score neglects grows as it"
        " shrinks.",
    )


def _holds(facts: Facts) -> Reason | None:
    """The conditions of first-order theory that were recorded and hold, if none fails."""
    if facts.grad_norm is None or facts.grad_norm > STATIONARY or facts.negative:
        return None
    words = [f"gradient norm {number(facts.grad_norm)}"]
    if facts.negative is not None:
        words.append("no negative Hessian eigenvalue")
    if facts.stopped is not None:
        if facts.stopped < 1:
            return None
        words.append(f"all {plural(facts.retrainings, 'retraining')} converged")
    if facts.drift is not None:
        if facts.drift >= DRIFT:
            return None
        words.append(f"placebo {ratio(facts.drift)} of a typical effect")
    return Reason(f"Conditions met by {facts.label}", f"{listing(words)}.")


def _offset(facts: Facts) -> Reason | None:
    if facts.offset is None or not facts.effect or abs(facts.offset) < 0.1 * facts.effect:
        return None
    placebo = facts.placebo or 0.0
    if placebo > 0.5 * abs(facts.offset):
        cause = f"the placebo moves by {number(placebo)}: most of it is drift"
    elif placebo < 0.1 * abs(facts.offset):
        cause = "the placebo does not, so it comes with every removal, as when the mean is taken"
        cause += " over one row less"
    else:
        cause = f"the placebo moves by {number(placebo)}"
    return Reason(
        f"Common term in {facts.label}",
        f"effects are shifted against scores by {number(facts.offset)}"
        f" ({ratio(abs(facts.offset) / facts.effect)} of a typical effect); {cause}. It moves"
        " signs, intercept and R², but no correlation.",
    )


def _stopping(worst: Facts, best: Facts | None) -> Reason | None:
    share, other = worst.stopped, best.stopped if best else None
    if share is None or share >= (1 if other is None else other):
        return None
    against = f", against {percent(other)} of {best.label}" if best and other is not None else ""
    return Reason(
        "Retrainings not converged",
        f"{percent(share)} of the {count(worst.retrainings)} retrainings of {worst.label} met"
        f" their stopping rule{against}.",
    )


def _drift(worst: Facts, best: Facts | None) -> Reason | None:
    if worst.drift is None or worst.drift < DRIFT or worst.placebo is None:
        return None
    other = best.drift if best else None
    against = f"; in {best.label} {ratio(other)}" if best and other is not None else ""
    return Reason(
        "Drift",
        f"retraining {worst.label} with nothing removed moves the measurable by"
        f" {number(worst.placebo)}, {ratio(worst.drift)} of a typical effect{against}.",
    )


def _target(worst: Facts, best: Facts | None) -> Reason | None:
    return (
        Reason("Target mismatch", f"{worst.mismatch.removeprefix('target mismatch: ')}.")
        if worst.mismatch
        else None
    )


def _noise(worst: Facts, best: Facts | None) -> Reason | None:
    if worst.ceiling is None or worst.ceiling >= 0.95:
        return None
    return Reason(
        "Noise ceiling",
        f"the replicates of {worst.label} limit any estimator to {number(worst.ceiling)}.",
    )


def _scale(worst: Facts, best: Facts | None) -> Reason | None:
    slope = worst.slope
    if slope is None or (slope > 0 and abs(math.log(slope)) < 0.1):
        return None
    if slope <= 0:
        return Reason("Sign", f"the slope of {worst.label} is {number(slope)}: not positive.")
    return Reason(
        "Scale",
        f"effects of {worst.label} are {number(slope)} times its scores, where a perfect score"
        " has slope 1.",
    )
