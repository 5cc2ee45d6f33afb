"""What the numbers of a family and of the claims say, in sentences made by rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from fragility.references.comparison import (
    AGREES,
    BOTH_AT_CHANCE,
    CANNOT_TELL,
    DIFFERS,
    NOT_MEASURED,
    NOT_THERE,
    Held,
)
from fragility.references.declared import CORRELATIONS, Quantity
from fragility.report.published import Setting
from fragility.report.published_words import difference
from fragility.report.reproduction.claims import (
    DECAY,
    FALLS,
    LITTLE,
    RISES,
    UNKNOWN,
    MetricEffect,
    RegularizationEffect,
    SizeEffect,
)
from fragility.report.reproduction.families import CORRECTED, SIDES, Family, Side, median
from fragility.report.text import estimate, listing, number, percent, plural
from fragility.statistics.estimate import Estimate
from fragility.statistics.two_samples import LEVEL

READINGS: dict[Side, str] = {
    "published": "Published",
    "ours": "As published, by us",
    "corrected": "Corrected",
}
_RESIZED = "at another size"
_VERDICTS = {
    AGREES: ("agrees", "agree"),
    DIFFERS: ("differs", "differ"),
    CANNOT_TELL: ("cannot be told", "cannot be told"),
    NOT_THERE: ("is not in the reference", "are not in the reference"),
    NOT_MEASURED: ("was not measured", "were not measured"),
}
_QUANTITIES: dict[Quantity, str] = {
    "spearman": "|Spearman|",
    "pearson": "|Pearson|",
    "hessian_top_eigenvalue": "the top eigenvalue",
    "train_accuracy": "training accuracy",
}


def reading(family: Family, side: Side) -> str:
    """Returns what a row of a family's reading is called."""
    return f"{READINGS[side]}, {_RESIZED}" if family.resized(side) else READINGS[side]


def paragraph(family: Family) -> str:
    """Returns what came of a family, in a few sentences."""
    told = [_whole(family), *(_verdicts(family.lines, quantity) for quantity in _QUANTITIES)]
    told += [_signs(family), _corrected(family)]
    return " ".join(one for one in told if one)


def headlines(families: Sequence[Family]) -> list[str]:
    """Returns what came of all families together: verdicts, and the corrected correlations.

    Families that were run at another size than published have sentences of their own.
    """
    whole = [family for family in families if not family.resized("ours")]
    other = [family for family in families if family.resized("ours")]
    told = [said for quantity in _QUANTITIES if (said := _both(whole, quantity))]
    if said := _lowest(whole):
        told.append(f"Corrected, {said}")
    if other:
        names = listing([family.link for family in other], 9)
        said = " ".join(_both(other, quantity) for quantity in CORRELATIONS)
        corrected = f" Corrected, {low}" if (low := _lowest(other)) else ""
        told.append(f"At another size than published, {names}: {said}{corrected}")
    return told


def _both(families: Sequence[Family], quantity: Quantity) -> str:
    whole = [line for family in families for line in family.whole]
    single = [line for family in families for line in family.lines]
    said = (
        _verdicts(whole, quantity, "family as a whole", "families as a whole"),
        _verdicts(single, quantity),
    )
    return " ".join(one for one in said if one)


def _lowest(families: Sequence[Family]) -> str:
    medians = [
        (float(np.median(found)), f"{family.link}, {family.axis} {level}")
        for family in families
        for level, found in family.values("corrected", "spearman").items()
    ]
    if not medians:
        return ""
    low, where = min(medians)
    high = sum(one >= 0.9 for one, _ in medians)
    return (
        f"the median of Spearman's correlation over repeats is at least 0.9 in {high} of"
        f" {plural(len(medians), 'setting')}, and lowest, {number(low)}, in {where}."
    )


def claim_headlines(
    sizes: Sequence[SizeEffect],
    regularizers: Sequence[RegularizationEffect],
    metrics: Sequence[MetricEffect],
) -> tuple[str, str, str]:
    """Returns the answers to the three claims, counted by reading.

    What was run at another size than published is not counted.
    """
    falls, higher, negative = [], [], []
    for side in SIDES:
        name = READINGS[side].lower()
        answers = [one.answer for one in sizes if one.side == side and not one.family.resized(side)]
        if answers:
            little = answers.count(LITTLE)
            beside = f" and changes by less than 0.1 in {little}" if little else ""
            falls.append(
                f"{name}, it falls in {answers.count(FALLS)} of"
                f" {plural(len(answers), 'family', 'families')}{beside}"
            )
        pairs = [one.answer for one in regularizers if one.side == side and one.what == DECAY]
        if pairs:
            little = pairs.count(LITTLE)
            beside = f" and changes by less than 0.1 in {little}" if little else ""
            higher.append(
                f"{name}, it is higher with weight decay in {pairs.count(RISES)} of"
                f" {plural(len(pairs), 'pair')} of families{beside}"
            )
        here = [one for one in metrics if one.side == side and not one.family.resized(side)]
        if here:
            runs = sum(one.runs for one in here)
            share = sum(one.negative * one.runs for one in here) / runs
            negative.append(f"{name}, {percent(share)} of {plural(runs, 'run')}")
    return "; ".join(falls), "; ".join(higher), "; ".join(negative)


def value(found: Estimate) -> str:
    """Returns a correlation or a difference of correlations with its interval."""
    return estimate("spearman", found.value, found.low, found.high)


def size_summary(effects: Sequence[SizeEffect], side: Side) -> str:
    """Returns in which families of a reading the correlation falls, rises or hardly changes."""
    here = [one for one in effects if one.side == side]
    words = {
        FALLS: "falls in {}",
        RISES: "rises in {}",
        LITTLE: "changes by less than 0.1 in {}",
        UNKNOWN: "cannot be told in {}",
    }
    groups: dict[str, list[str]] = defaultdict(list)
    for one in here:
        groups[one.answer].append(_link(one.family, side))
    told = [words[key].format(listing(groups[key], 9)) for key in words if groups[key]]
    return f"{READINGS[side]}: {listing(told)}." if told else ""


def anova_summary(effects: Sequence[SizeEffect], side: Side) -> str:
    """Returns in how many families of a reading the analysis of variance sees the size."""
    here = [one for one in effects if one.side == side and one.p is not None]
    if not here:
        return ""
    seen = sum((one.p or 0.0) <= LEVEL for one in here)
    none = sum((one.p or 0.0) > 0.5 for one in here)
    return (
        f"{READINGS[side]}, p is {LEVEL:g} or less in {seen} of"
        f" {plural(len(here), 'family', 'families')} and above 0.5 in {none}."
    )


def regularization_summary(effects: Sequence[RegularizationEffect], side: Side) -> str:
    """Returns by how much each regularizer changes the correlation, pair by pair."""
    groups: dict[str, list[str]] = defaultdict(list)
    for one in effects:
        if one.side == side and one.change.value is not None:
            groups[one.what].append(f"{value(one.change)} ({one.regularized.link})")
    told = [f"{what}, {listing(group, 9)}" for what, group in groups.items()]
    return f"{READINGS[side]}: {'; '.join(told)}." if told else ""


def metric_summary(effects: Sequence[MetricEffect], side: Side) -> str:
    """Returns how far Pearson's is from Spearman's, and how many signs are negative."""
    here = [one for one in effects if one.side == side]
    if not here:
        return ""
    apart = [
        f"{value(one.apart)} ({_link(one.family, side)})"
        for one in here
        if one.apart.low is not None and one.apart.high is not None
        and not one.apart.low <= 0 <= one.apart.high
    ]  # fmt: skip
    runs = sum(one.runs for one in here)
    negative = sum(one.negative * one.runs for one in here) / runs
    differ = (
        f"Pearson's minus Spearman's has a median other than 0 in {listing(apart, 9)}"
        if apart
        else "no median of Pearson's minus Spearman's can be told from 0"
    )
    return (
        f"{READINGS[side]}: {differ}; {percent(negative)} of {plural(runs, 'run')} have a negative"
        " Spearman."
    )


def _link(family: Family, side: Side) -> str:
    return f"{family.link}, {_RESIZED}" if family.resized(side) else family.link


def _verdicts(lines: Sequence[tuple[Setting, Held]], quantity: Quantity, *nouns: str) -> str:
    held = [one for _, one in lines if one.quantity == quantity]
    if not held:
        return ""
    tally = Counter(one.verdict for one in held)
    chance = sum(one.reason == BOTH_AT_CHANCE for one in held)
    beside = {CANNOT_TELL: f" ({chance} because both sides are at chance)" if chance else ""}
    told = [
        f"{tally[key]} {one if tally[key] == 1 else many}{beside.get(key, '')}"
        for key, (one, many) in _VERDICTS.items()
        if tally[key]
    ]
    many = plural(len(held), *(nouns or ("setting",)))
    return f"Of {many} by {_QUANTITIES[quantity]}, {listing(told)}."


def _whole(family: Family) -> str:
    told = [
        f"{_QUANTITIES[held.quantity]} {_VERDICTS[held.verdict][0]} ({difference(held)})"
        for _, held in family.whole
    ]
    return f"All settings together, {listing(told)}." if told else ""


def _signs(family: Family) -> str:
    told = []
    sides: tuple[tuple[Side, str], ...] = (
        ("published", "of the published runs"),
        ("ours", "of ours as published"),
    )
    for side, words in sides:
        signed = family.pairs(side)[0]
        if signed.size:
            told.append(f"{percent(float(np.mean(signed < 0)))} {words}")
    return f"Spearman's correlation is negative in {listing(told)}." if told else ""


def _corrected(family: Family) -> str:
    values = family.values("corrected", "spearman")
    medians = {level: float(np.median(found)) for level, found in values.items()}
    if not medians:
        return "The corrected pair was not measured."
    low, high = min(medians, key=lambda k: medians[k]), max(medians, key=lambda k: medians[k])
    ends = [
        f"{value(median(values[level], family.key, CORRECTED, level, 'spearman'))}"
        f" ({family.axis} {level})"
        for level in dict.fromkeys((low, high))
    ]
    return f"Corrected, the median of Spearman's correlation is {' to '.join(ends)}."
