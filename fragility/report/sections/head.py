"""Head: what was asked, how it was run, and a badge for each thing a reader must know first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fragility.report.context import Context, natural
from fragility.report.parts import Section
from fragility.report.text import count, duration, listing, memory, moment, plural
from fragility.store import report_queries as ask


@dataclass(frozen=True)
class Badge:
    """One fact with a mark: `fine`, `warn`, or `note` when it is neither."""

    name: str
    text: str
    state: str


def section(context: Context) -> Section:
    """Returns the head of the page."""
    run = context.source.run
    started = run["started"]
    predicted = run["predicted_seconds"]
    facts = [
        ("Run", run["run_id"]),
        ("Started", moment(started)),
        ("Took", duration(run["seconds"])),
        ("Predicted", duration(predicted) if predicted else "not predicted"),
        ("Peak memory", memory(run["peak_memory"])),
        ("Device", device(run)),
        ("Tasks", _tasks(run)),
        ("Versions", ", ".join(f"{name} {v}" for name, v in mapping(run["versions"]).items())),
    ]
    data = {
        "study": run["study"],
        "title": run["title"] or run["study"],
        "question": question(run["study_text"]) or _derived_question(context),
        "facts": [(name, value) for name, value in facts if value],
        "badges": _badges(context),
        "scope": _scope(context),
        "status": run["status"],
    }
    return Section("head", "", data)


def device(run: Mapping[str, Any]) -> str:
    """Returns the device with its threads, as far as the run knows them."""
    words = [run["device"] or "unknown"]
    if run["threads"]:
        words.append(plural(run["threads"], "thread"))
    return ", ".join(words)


def question(study_text: str | None) -> str | None:
    """Returns the study's `question`, None when it has none or its text cannot be read."""
    try:
        study = YAML(typ="safe", pure=True).load(study_text or "")
    except YAMLError:
        return None
    asked = study.get("question") if isinstance(study, dict) else None
    return str(asked) if asked else None


def mapping(text: str | None) -> Mapping[str, Any]:
    """Returns a JSON object of the store, empty when it is missing."""
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def _derived_question(context: Context) -> str:
    names = sorted({c.estimator for c in context.combinations}, key=natural)
    procedures = sorted({c.procedure for c in context.combinations}, key=natural)
    models = sorted({cell["model"] for cell in context.cells}, key=natural)
    datasets = sorted({cell["dataset"] for cell in context.cells}, key=natural)
    if not (names and procedures and models and datasets):
        return "This run has no estimator with a procedure to judge it."
    return (
        f"Do the scores of {listing(names)} predict what retraining ({listing(procedures)}) does"
        f" to {listing(models)} on {listing(datasets)}?"
    )


def _scope(context: Context) -> str:
    return (
        f"{plural(len(context.cells), 'cell')} in {plural(len(context.arms), 'arm')}, "
        f"{plural(context.repeats, 'repeat')} each"
        if context.cells
        else "No cells"
    )


def _tasks(run: Mapping[str, Any]) -> str:
    words = {"ok": "computed", "cached": "found done", "failed": "failed", "skipped": "skipped"}
    return ", ".join(f"{count(run[key] or 0)} {word}" for key, word in words.items())


def _badges(context: Context) -> list[Badge]:
    return [
        _controls(context),
        _convergence(context, ask.BASE_MODELS, "models", "base model"),
        _convergence(context, ask.RETRAININGS, "retrainings", "retraining"),
        _objective(context),
        _target(context),
        _ceiling(context),
        _failed(context),
    ]


def _controls(context: Context) -> Badge:
    rows = (*context.controls.rows, *context.own_controls)
    failed = [row.name for row in rows if not row.passed]
    if failed:
        return Badge("Controls failed", listing(failed, 2), "warn")
    if not context.controls.rows:
        return Badge("Controls", "not run", "note")
    return Badge("Controls", f"passed {count(len(rows))} of {count(len(rows))}", "fine")


def _convergence(context: Context, query: ask.Query, column: str, noun: str) -> Badge:
    rows = context.source.ask(query)
    total, done = sum(row[column] for row in rows), sum(row["converged"] for row in rows)
    judged = sum(row["judged"] for row in rows)
    name = f"{noun.capitalize()}s"
    if total == 0:
        return Badge(name, "none recorded", "note")
    if judged == 0:
        return Badge(name, f"{count(total)}, no stopping rule to judge them by", "note")
    state = "fine" if done == judged else "warn"
    others = f", {count(total - judged)} without a stopping rule" if judged < total else ""
    return Badge(name, f"{count(done)} of {count(judged)} converged{others}", state)


def _objective(context: Context) -> Badge:
    departing = context.source.ask(ask.DEPARTURES)
    if departing:
        labels = listing([row["regularization"] for row in departing], 3)
        return Badge("Objective", f"influence is not taken for what {labels} trains", "warn")
    return Badge("Objective", "influence is taken for the objective that was trained", "fine")


def _target(context: Context) -> Badge:
    found = sorted({t["mismatch"] for t in context.targets.values() if t["mismatch"]})
    if found:
        words = [text.removeprefix("target mismatch: ") for text in found]
        return Badge("Target mismatch", listing(words, 2), "warn")
    covered = sorted({t["score_parameters"] or "none" for t in context.targets.values()})
    what = f" ({listing(covered)})" if covered else ""
    return Badge("Target", f"score and truth cover the same parameters{what}", "fine")


def _ceiling(context: Context) -> Badge:
    known = [e.ceiling for e in context.estimates.values() if e.ceiling is not None]
    if known:
        return Badge("Noise ceiling", "estimated from replicates", "fine")
    return Badge("Noise ceiling", "one replicate: not estimated", "note")


def _failed(context: Context) -> Badge:
    rows = context.source.ask(ask.FAILURES)
    failed = sum(row["tasks"] for row in rows if row["status"] == "failed")
    skipped = sum(row["tasks"] for row in rows if row["status"] == "skipped")
    if failed + skipped == 0:
        return Badge("Failures", "none", "fine")
    return Badge("Failures", f"{count(failed)} failed, {count(skipped)} skipped", "warn")
