"""The verdict on an arm: numbers in, verdict out, by rules that are fixed here.

A measured agreement with retraining mixes four things: what the estimator gets wrong, that its
target is another question than retraining, the noise of the retraining itself, and which examples
were looked at. The rules separate the first three. They ask, in this order: could anything have
been measured; does the score predict retraining; does it predict its own target, which has no
noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fragility.report.averages import Noise
from fragility.report.text import estimate, listing, percent, plural
from fragility.statistics.estimate import Estimate
from fragility.statistics.reliability import MEASURABLE, replicates_needed

HIGH = 0.8
"""Agreement is high when the whole interval of Pearson's correlation lies at or above this.

At 0.8 the score explains 64 % of the variance of the effects and, were both normal, would put four
of five pairs of examples in the right order. Agreement is low when the whole interval lies below,
and undecided when it reaches across: then the study is too small to say.
"""

WANTED = 0.8
"""Reliability that is worth paying for: a perfect score would then reach 0.89."""

PILOT = 10
"""Replicates to begin with where nothing is known of the noise."""

Level = Literal["high", "low", "undecided"]

NOT_MEASURABLE = "not measurable with this budget"
FAITHFUL = "faithful"
TARGET_MISMATCH = "LOO target mismatch"
ANOTHER_QUESTION = "answers another question"
ESTIMATOR_FAILS = "estimator fails"
CANNOT_TELL = "cannot tell"

CHECKS = "check solver, dtype, damping, curvature, in that order"
REPLICATES = (
    f"`replicates: {PILOT}` with `start: cold`, or, after minibatch training, `order: independent`"
)
TARGET = "a `linear_response` with the score's parameters, curvature and damping"
RETRAINING = "a `leave_one_out` with `start: cold` and several `replicates`"
GROUPS = "a `leave_group_out`"

RULES: tuple[tuple[str, str, str, str, str], ...] = (
    ("low", "any", "any", "any", NOT_MEASURABLE),
    ("enough or unknown", "any", "high", "any", FAITHFUL),
    ("enough", "high", "low", "high", TARGET_MISMATCH),
    ("enough", "high", "low", "low, or not in the study", ANOTHER_QUESTION),
    ("enough", "low", "low", "any", f"{ESTIMATOR_FAILS}: {CHECKS}"),
    ("unknown", "low", "low, or not in the study", "any", f"{ESTIMATOR_FAILS}: {CHECKS}"),
    ("anything else", "", "", "", CANNOT_TELL),
)
"""Reliability, agreement with the own target, with retraining, with groups, and what follows."""


@dataclass(frozen=True)
class Compared:
    """Agreement with one truth, named in `words`: as observed, and corrected for noise.

    `mismatch` says how the truth moves other parameters than the score covers, if it does.
    """

    words: str
    observed: Estimate
    corrected: Estimate | None = None
    mismatch: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a study has to say of one arm; None where no such truth is in the study.

    `noise` belongs to the retraining.
    """

    target: Compared | None
    retraining: Compared | None
    groups: Compared | None
    noise: Noise | None


@dataclass(frozen=True)
class Verdict:
    """The verdict, the sentences it rests on, and what to declare to know more."""

    name: str
    because: tuple[str, ...]
    declare: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The verdict, with what to do about it where that is always the same."""
        return f"{self.name}: {CHECKS}" if self.name == ESTIMATOR_FAILS else self.name


def level(found: Estimate) -> Level | None:
    """Returns where the interval lies, or the value where there is none; None without a value."""
    if found.value is None:
        return None
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    if low >= HIGH:
        return "high"
    return "low" if high < HIGH else "undecided"


def judge(evidence: Evidence) -> Verdict:
    """Returns the verdict on an arm, by the first of the rules that applies.

    Noise lowers a correlation and never raises it on average: agreement that is high as observed is
    high, whatever is known of the noise; agreement that is low counts as low only when it is low
    after correction. An estimator that misses its own target fails even where too little is known
    of retraining, because that target has no noise.
    """
    noise, retraining = evidence.noise, evidence.retraining
    known = noise is not None and noise.mean.value is not None
    if noise is not None and noise.mean.value is not None and noise.mean.value < MEASURABLE:
        return _not_measurable(noise, evidence.target)
    found = _told(evidence, _against_retraining(retraining, known))
    if known or retraining is None:
        return found
    because = (*found.because, _unknown(retraining, noise))
    return Verdict(found.name, because, (*found.declare, REPLICATES))


def _against_retraining(retraining: Compared | None, known: bool) -> Level | None:
    """Returns the level of agreement with retraining, None where noise may be what lowers it."""
    if retraining is None:
        return None
    observed = level(retraining.observed)
    if observed == "high":
        return observed
    if known and retraining.corrected:
        return level(retraining.corrected)
    return observed if observed == "undecided" else None


def _told(evidence: Evidence, found: Level | None) -> Verdict:
    """Returns the verdict where noise does not forbid one."""
    own = level(evidence.target.observed) if evidence.target else None
    if found == "high":
        return _faithful(evidence, own)
    if own == "low" and found != "undecided":
        return _fails(evidence.target)
    if own == "high" and found == "low":
        return _question(evidence)
    return _cannot_tell(evidence, own, found)


def _fails(target: Compared | None) -> Verdict:
    because = ["The score misses its own target, which has no noise."]
    if target and target.observed.high is not None and target.observed.high < 0:
        because.append("It has the opposite sign.")
    return Verdict(ESTIMATOR_FAILS, tuple(because))


def _faithful(evidence: Evidence, own: Level | None) -> Verdict:
    because = []
    if own == "low":
        because.append("The score predicts retraining, though not by computing its own target.")
    if evidence.groups and level(evidence.groups.observed) == "low":
        because.append("This holds for single examples, not for groups of them.")
    return Verdict(FAITHFUL, tuple(because))


def _question(evidence: Evidence) -> Verdict:
    """Returns the verdict on a score that is right about its target and wrong about retraining."""
    because = ["The score computes its own target; retraining is something else."]
    if evidence.retraining and evidence.retraining.mismatch:
        because.append(f"It moves other parameters ({evidence.retraining.mismatch}).")
    groups = level(evidence.groups.observed) if evidence.groups else None
    if groups == "high":
        because.append("For groups of examples the score is useful.")
        return Verdict(TARGET_MISMATCH, tuple(because))
    if groups == "low":
        because.append("For groups of examples it is no better.")
        return Verdict(ANOTHER_QUESTION, tuple(because))
    because.append("Whether the score is useful for groups of examples is not known.")
    return Verdict(ANOTHER_QUESTION, tuple(because), () if evidence.groups else (GROUPS,))


def _cannot_tell(evidence: Evidence, own: Level | None, found: Level | None) -> Verdict:
    because, declare = [], []
    target, retraining = evidence.target, evidence.retraining
    if target is None:
        because.append("Whether the score computes its own target is not known.")
        declare.append(TARGET)
    elif own is None:
        because.append(f"Agreement with its own target has no value: {target.observed.reason}.")
    if retraining is None:
        because.append("No retraining of single removals is in this study.")
        declare.append(RETRAINING)
    elif retraining.observed.value is None:
        because.append(f"Agreement with retraining has no value: {retraining.observed.reason}.")
    elif retraining.corrected and retraining.corrected.value is None:
        because.append(f"It is not corrected for noise: {retraining.corrected.reason}.")
        declare += _more_replicates(evidence.noise)
    both = ((target, own), (retraining, found))
    across = [
        f"with {one.words}, {_numbers(one)}," for one, at in both if one and at == "undecided"
    ]
    if across:
        because.append(
            f"Agreement {listing(across)} may lie on either side of {HIGH}; more repeats or points"
            " would tell."
        )
    return Verdict(CANNOT_TELL, tuple(because), tuple(declare))


def _more_replicates(noise: Noise | None) -> list[str]:
    single = noise.single.value if noise else None
    needed = replicates_needed(single, WANTED) if single else None
    return [] if needed is None else [f"`replicates: {needed}`"]


def _not_measurable(noise: Noise, target: Compared | None) -> Verdict:
    declare = _more_replicates(noise)
    because = [
        f"Only {percent(noise.mean.value)} of the variance between measured effects is more than"
        f" the noise of {plural(noise.replicates, 'replicate')}: a perfect score would reach"
        f" {_estimate(noise.ceiling)}."
    ]
    if declare:
        because.append(f"A reliability of {WANTED} takes {declare[0]}.")
    else:
        because.append("Replicates agree no better than chance: no number of them can be named.")
    if target and level(target.observed) == "low":
        because.append("Apart from that, the score misses its own target, which has no noise.")
    return Verdict(NOT_MEASURABLE, tuple(because), tuple(declare))


def _unknown(retraining: Compared, noise: Noise | None) -> str:
    """Returns what can be said of the reliability where nothing is measured of it."""
    value = retraining.observed.value
    if value is not None and level(retraining.observed) == "high":
        return (
            "Reliability is unknown without replicates. Noise lowers agreement on average, so that"
            f" it should be {percent(value**2)} or more."
        )
    reason = noise.mean.reason if noise else "nothing was measured"
    return f"Reliability is unknown ({reason}), and noise may be what lowers agreement."


DECISIVE = {
    FAITHFUL: ("retraining",),
    ESTIMATOR_FAILS: ("target",),
    TARGET_MISMATCH: ("target", "retraining", "groups"),
    ANOTHER_QUESTION: ("target", "retraining"),
}
"""What of the evidence decides each verdict."""


def sentence(verdict: Verdict, evidence: Evidence) -> str:
    """Returns the verdict in a sentence, with the numbers that decide it."""
    decisive = (getattr(evidence, name) for name in DECISIVE.get(verdict.name, ()))
    parts = [f"with {known.words} {_numbers(known)}" for known in decisive if known]
    if parts:
        return f"{verdict.name}; agreement {listing(parts)}."
    return f"{verdict.name}. {' '.join(verdict.because)}"


def in_brief(verdict: Verdict, evidence: Evidence) -> str:
    """Returns the verdict with the numbers that decide it, or what stands in its way, in a line."""
    decisive = [
        f"{_brief(known)} with {known.words}"
        for known in (getattr(evidence, name) for name in DECISIVE.get(verdict.name, ()))
        if known
    ]
    if verdict.name == NOT_MEASURABLE and evidence.noise:
        count = plural(evidence.noise.replicates, "replicate")
        decisive = [f"reliability {_estimate(evidence.noise.mean)} of {count}"]
    if decisive:
        return f"{verdict.name} ({'; '.join(decisive)})"
    reason = verdict.because[0].rstrip(".") if verdict.because else "nothing was measured"
    return f"{verdict.name}: {reason[0].lower()}{reason[1:]}"


def _brief(compared: Compared) -> str:
    observed = _estimate(compared.observed)
    if compared.corrected is None or compared.corrected.value is None:
        return observed
    corrected = _estimate(compared.corrected)
    return observed if corrected == observed else f"{observed}, corrected for noise {corrected},"


def _numbers(compared: Compared) -> str:
    observed = _estimate(compared.observed)
    if compared.corrected is None or compared.corrected.value is None:
        return observed
    corrected = _estimate(compared.corrected)
    return observed if corrected == observed else f"{observed} ({corrected} corrected for noise)"


def _estimate(found: Estimate) -> str:
    return estimate("pearson", found.value, found.low, found.high)
