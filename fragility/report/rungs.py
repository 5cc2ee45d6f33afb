"""The ladder of truths: its rungs in order, and what each step from one to the next isolates.

Neighbours differ by exactly one thing. Where a study leaves rungs out, a step isolates all that
lies between.
"""

from __future__ import annotations

from dataclasses import dataclass

from fragility.report.context import Combination, Context, natural
from fragility.report.text import listing


@dataclass(frozen=True)
class Truth:
    """A rung: the word in `arms.truth`, a short one and words for it, what the step up isolates."""

    name: str
    short: str
    words: str
    isolates: str
    because: str


SCORE = Truth("score", "score", "score", "", "what the estimator predicts")
TRUTHS = (
    Truth(
        "linear_response",
        "linear response",
        "linear response",
        "solver error",
        "the same first-order response, solved densely in float64: the rest is the estimator's"
        " solver, precision, damping or curvature",
    ),
    Truth(
        "pbrf",
        "PBRF",
        "proximal Bregman response",
        "linearization",
        "the optimum of the proximal Bregman objective whose first step the linear response is",
    ),
    Truth(
        "proximal",
        "proximal",
        "proximal optimum",
        "non-convergence",
        "the true loss in place of its Bregman divergence, so that a base model which is not at its"
        " optimum moves",
    ),
    Truth(
        "warm",
        "warm",
        "warm retraining",
        "proximity",
        "nothing holds the retrained model near the base model",
    ),
    Truth(
        "warm over orders",
        "warm over orders",
        "warm retraining over orders",
        "example order",
        "the mean over example orders in place of the base model's own",
    ),
    Truth(
        "cold",
        "cold",
        "cold retraining",
        "warm start",
        "training begins at initial values, not at the base model",
    ),
    Truth(
        "cold over seeds",
        "cold over seeds",
        "cold retraining over seeds",
        "seed noise",
        "the mean over initial values in place of the base model's own",
    ),
)
FROZEN = Truth(
    "frozen",
    "frozen",
    "optimum of the last layer",
    "last layer's own optimum",
    "all else frozen: the only fair truth for a score of that layer alone",
)
_PLACE = {truth.name: place for place, truth in enumerate(TRUTHS)}


@dataclass(frozen=True)
class Rung:
    """A truth as a study declares it: under the label of one procedure."""

    truth: Truth
    procedure: str


@dataclass(frozen=True)
class Rungs:
    """What stands on one ladder: the chain above the score, what stands beside, what does not.

    `mismatched` are rungs that move other parameters than the score covers; `notes` say which of
    several procedures with one truth was taken.
    """

    chain: tuple[Rung, ...]
    beside: tuple[Rung, ...]
    mismatched: tuple[Combination, ...]
    notes: tuple[str, ...]

    @property
    def every(self) -> tuple[Rung, ...]:
        """The chain, then what stands beside it."""
        return self.chain + self.beside


def declared(context: Context, arm: str, estimator: str) -> Rungs:
    """Returns the rungs that an arm's score can be held against.

    A score that covers no parameters of its own (say, a random one) takes the ladder of those that
    the highest rung moves.
    """
    known = {
        combination: str(row["truth"])
        for combination, row in context.targets.items()
        if (combination.arm, combination.estimator) == (arm, estimator)
        and (row["truth"] in _PLACE or row["truth"] == FROZEN.name)
    }
    matching = [c for c in known if not context.targets[c]["mismatch"]]
    moved = _parameters(context, matching, known)
    standing = [c for c in matching if context.targets[c]["truth_parameters"] == moved]
    by_truth: dict[str, list[str]] = {}
    for combination in standing:
        by_truth.setdefault(known[combination], []).append(combination.procedure)
    taken = {name: sorted(labels, key=natural) for name, labels in by_truth.items()}
    return Rungs(
        tuple(Rung(truth, taken[truth.name][0]) for truth in TRUTHS if truth.name in taken),
        tuple(Rung(FROZEN, taken[FROZEN.name][0]) for _ in (1,) if FROZEN.name in taken),
        tuple(sorted(set(known) - set(standing), key=lambda c: natural(c.procedure))),
        tuple(
            f"Of the procedures {listing(labels)}, which all are {name.replace('_', ' ')} truths,"
            f" {labels[0]} stands on the ladder."
            for name, labels in taken.items()
            if len(labels) > 1
        ),
    )


def _parameters(
    context: Context, matching: list[Combination], truths: dict[Combination, str]
) -> object:
    """Returns the parameters that the highest of the matching rungs moves."""
    if not matching:
        return None
    highest = max(matching, key=lambda c: (_PLACE.get(truths[c], -1), c.procedure))
    return context.targets[highest]["truth_parameters"]


def isolates(below: Truth, truth: Truth) -> str:
    """Returns what the step from one rung up to another isolates, in a few words."""
    return listing([step.isolates for step in between(below, truth)])


def between(below: Truth, truth: Truth) -> list[Truth]:
    """Returns the rungs whose steps lie between two, the upper one included.

    A mean over example orders is a step of its own only where one of the two is such a mean.
    """
    if truth == FROZEN:
        return [FROZEN]
    start = _PLACE.get(below.name, -1) + 1
    found = TRUTHS[start : _PLACE[truth.name] + 1]
    return [step for step in found if step == truth or step.name != "warm over orders"]
