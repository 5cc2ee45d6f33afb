"""Runs whose number of replicates follows from the noise that a pilot measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fragility.execution.events import Listener, RunSummary
from fragility.execution.run import RunOptions, run_study
from fragility.procedures import TargetReliability
from fragility.statistics import replicates_needed
from fragility.store import queries, truth_queries
from fragility.study.load import LoadedStudy, load_text


@dataclass(frozen=True)
class Decision:
    """How many replicates a procedure gets, and the arm that decided.

    `reliability` is that of one replicate in that arm, None where the pilot left none to measure;
    `enough` says whether the number reaches the target.
    """

    procedure: str
    replicates: int
    target: float
    arm: str | None
    reliability: float | None
    enough: bool


def run_piloted(
    loaded: LoadedStudy,
    store_root: Path,
    options: RunOptions,
    on_event: Listener,
    before: Callable[[], None] | None = None,
    on_decision: Callable[[Decision], None] = lambda decision: None,
) -> RunSummary:
    """Executes a study, first a pilot of it where a procedure asks for a reliability.

    The second run is that of the study with the numbers written in, as its overrides say: what the
    pilot has done is not done again, and what failed there is tried again. The summary is of both.
    """
    summary = run_study(loaded, store_root, options, on_event, before)
    wanted = {
        label: procedure.adaptive
        for label, procedure in loaded.study.procedures.items()
        if procedure.adaptive
    }
    if not wanted or summary.interrupted:
        return summary
    decisions = decide(store_root, summary.run_id, wanted)
    for decision in decisions:
        on_decision(decision)
    if all(d.replicates == wanted[d.procedure].pilot for d in decisions):
        return summary
    numbers = [f"procedures.{d.procedure}.replicates={d.replicates}" for d in decisions]
    final = load_text(loaded.text, loaded.path, (*loaded.overrides, *numbers), loaded.label)
    rest = run_study(final, store_root, options, on_event)
    return replace(
        rest,
        ok=summary.ok + rest.ok,
        cached=summary.cached,
        seconds=summary.seconds + rest.seconds,
    )


def decide(
    store_root: Path, run_id: str, wanted: Mapping[str, TargetReliability]
) -> list[Decision]:
    """Returns the number of replicates of each procedure, given the run of the pilot."""
    found = queries.query(store_root, truth_queries.RELIABILITY.sql, run_id)
    rows: list[dict[str, Any]] = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    # Sums of a database differ in their last digits from one time to the next; what is decided by
    # them must not.
    single = {
        label: {
            row["arm"]: round(row["single_replicate"], 9)
            for row in rows
            if row["procedure"] == label
        }
        for label in wanted
    }
    return [_decision(label, rule, single[label]) for label, rule in wanted.items()]


def _decision(label: str, rule: TargetReliability, arms: Mapping[str, float]) -> Decision:
    target = rule.target_reliability
    if not arms:
        return Decision(label, rule.pilot, target, None, None, enough=False)
    arm = min(arms, key=lambda one: (arms[one], one))
    needed = replicates_needed(arms[arm], target)
    if needed is None or needed > rule.max:
        return Decision(label, rule.max, target, arm, arms[arm], enough=False)
    return Decision(label, max(needed, rule.pilot), target, arm, arms[arm], enough=True)
