"""The verdict on every arm, by fixed rules: is it the estimator, the question, or the noise?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fragility.report.context import Context
from fragility.report.evidence import gather, judged
from fragility.report.parts import Section, data_table
from fragility.report.text import estimate, listing, plural
from fragility.report.verdict import (
    ESTIMATOR_FAILS,
    HIGH,
    NOT_MEASURABLE,
    RULES,
    Compared,
    Evidence,
    Verdict,
    judge,
    sentence,
)
from fragility.statistics.estimate import Estimate
from fragility.statistics.reliability import MEASURABLE
from fragility.store import truth_queries as ask

HEADING = "The verdict"
SPOKEN = 4
"""Up to so many arms the verdicts are sentences; beyond it they are counted."""


@dataclass(frozen=True)
class Cell:
    """One number of the table: the value, its interval, and a line below them."""

    value: str
    interval: str = ""
    line: str = ""


@dataclass(frozen=True)
class Row:
    """One arm of the table."""

    label: str
    estimator: str
    token: str
    verdict: str
    warn: bool
    because: Sequence[str]
    declare: Sequence[str]
    cells: Sequence[Cell]


def section(context: Context) -> Section:
    """Returns the verdict on every arm and estimator, and the rules it follows from."""
    found = [(arm, gather(context, *arm)) for arm in judged(context)]
    verdicts = [(arm, evidence, judge(evidence)) for arm, evidence in found]
    groups = any(evidence.groups for _, evidence in found)
    failed = [row.name for row in (*context.controls.rows, *context.own_controls) if not row.passed]
    data = {
        "controls": f"Controls failed: {listing(failed)}." if failed else "",
        "lead": _lead(context, verdicts),
        "rows": [_row(context, *item, groups=groups) for item in verdicts],
        "groups": groups,
        "rules": RULES,
        "high": HIGH,
        "measurable": MEASURABLE,
        "tables": [
            data_table(context.source.fetch(query)) for query in (ask.EVIDENCE, ask.RELIABILITY)
        ],
    }
    return Section("verdict", HEADING, data)


Judged = tuple[tuple[str, str], Evidence, Verdict]


def _lead(context: Context, verdicts: Sequence[Judged]) -> list[str]:
    if not verdicts:
        return ["No score is compared with a truth in this study."]
    if len(verdicts) <= SPOKEN:
        return [
            f"{_label(context, arm)}: {sentence(verdict, evidence)}"
            for arm, evidence, verdict in verdicts
        ]
    counts = Counter(verdict.name for _, _, verdict in verdicts)
    words = [f"{count} {name}" for name, count in counts.most_common()]
    return [f"Of {plural(len(verdicts), 'score')}: {listing(words)}."]


def _label(context: Context, arm: tuple[str, str]) -> str:
    several = len({c.estimator for c in context.combinations}) > 1
    label = context.arm_label(arm[0])
    return f"{label} · {arm[1]}" if several else label


def _row(
    context: Context, arm: tuple[str, str], evidence: Evidence, verdict: Verdict, *, groups: bool
) -> Row:
    noise, retraining = evidence.noise, evidence.retraining
    line = f"{plural(noise.replicates, 'replicate')}" if noise else ""
    return Row(
        context.arm_label(arm[0]),
        arm[1],
        context.colours[arm[1]],
        verdict.words,
        verdict.name in (ESTIMATOR_FAILS, NOT_MEASURABLE),
        verdict.because,
        verdict.declare,
        [
            _cell(noise.mean, line) if noise else Cell("unknown"),
            _compared(evidence.target),
            _compared(retraining),
            _cell(retraining.corrected, "") if retraining and retraining.corrected else Cell("–"),
            _compared(evidence.groups),
        ][: 5 if groups else 4],
    )


def _compared(compared: Compared | None) -> Cell:
    if compared is None:
        return Cell("not in the study")
    line = f"{compared.words}; {compared.mismatch}" if compared.mismatch else compared.words
    return _cell(compared.observed, line)


def _cell(found: Estimate, line: str) -> Cell:
    if found.value is None:
        return Cell("unknown" if line else "withheld", "", found.reason or "")
    value, _, bounds = estimate("pearson", found.value, found.low, found.high).partition(" [")
    return Cell(value, bounds and f"[{bounds}", line)
