"""Says why tasks will run: what differs from the plan of the study's last run."""

from __future__ import annotations

from collections.abc import Mapping

from fragility.method import JSON
from fragility.plan.tasks import Kind, Plan
from fragility.study.nodes import flow

_CONCERNS: dict[Kind, tuple[str, ...]] = {
    "train": ("seed", "repeats", "datasets", "models", "regularization", "training", "sweep"),
    "estimate": ("estimators", "procedures"),
    "retrain": ("procedures",),
    "measure": ("metrics",),
    "diagnose": ("diagnostics",),
}
_TEXTS = ("title", "question")
_SHOWN = 3


def why(plan: Plan, kind: Kind, pending: frozenset[str], before: Mapping[str, JSON] | None) -> str:
    """Returns one short reason for a kind's pending tasks, given the last plan's resolved study."""
    if not any(b.kind == kind for b in plan.batches):
        return "none asked for"
    if not any(
        task_id in pending for b in plan.batches if b.kind == kind for task_id in b.task_ids
    ):
        return "done"
    if before is None:
        return "new"
    changes = differences(before, plan.resolved)
    own = [text for path, text in changes.items() if path.split(".")[0] in _CONCERNS[kind]]
    inherited = [text for path, text in changes.items() if path.split(".")[0] in _CONCERNS["train"]]
    reasons = own or inherited or list(changes.values())
    if not reasons:
        return "not finished in the last run"
    shown, more = reasons[:_SHOWN], len(reasons) - _SHOWN
    return ", ".join(
        [*shown, f"{more} more change{'s' if more > 1 else ''}"] if more > 0 else shown
    )


def differences(before: Mapping[str, JSON], now: Mapping[str, JSON]) -> dict[str, str]:
    """Returns what changed between two resolved studies, by dotted path, in words.

    Texts that only the report shows are left out.
    """
    before, now = _telling(before), _telling(now)
    entries_before, entries_now = set(map(_entry, before)), set(map(_entry, now))
    changes: dict[str, str] = {}
    for path, value in now.items():
        if path in before:
            if before[path] != value:
                changes[path] = _change(path, before[path], value)
        elif _entry(path) not in entries_before:
            changes[_entry(path)] = f"+{_entry(path)}"
        else:
            changes[path] = f"+{path}"
    for path in before:
        if _entry(path) not in entries_now:
            changes[_entry(path)] = f"-{_entry(path)}"
    return changes


def _telling(study: Mapping[str, JSON]) -> dict[str, JSON]:
    """Returns the study without texts and without sections that are empty."""
    return {path: value for path, value in study.items() if value != {} and path not in _TEXTS}


def _entry(path: str) -> str:
    """Returns the labelled entry a path belongs to: `estimators.cg` of `estimators.cg.damping`.

    A swept path is an entry of its own.
    """
    return path if path.startswith("sweep.") else ".".join(path.split(".")[:2])


def _change(path: str, old: JSON, new: JSON) -> str:
    if path == "repeats" and isinstance(old, int) and isinstance(new, int):
        more = new - old
        return f"{more:+d} repeat{'' if abs(more) == 1 else 's'}"
    if path.split(".")[2:] == ["code"]:
        return f"{_entry(path)} has other code"
    return f"{path} {flow(old)} -> {flow(new)}"
