"""What a study has to say of an arm before it is judged: agreement by kind of truth, and noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fragility.identity import derive_seed
from fragility.report.averages import agreement, corrected, noise
from fragility.report.context import RETRAININGS, Combination, Context, natural
from fragility.report.grids import Grid
from fragility.report.rungs import TRUTHS, declared
from fragility.report.samples import sample as of_pairs
from fragility.report.verdict import Compared, Evidence
from fragility.statistics.estimate import missing

TARGETS = ("linear_response", "pbrf", "frozen")
"""What a score may claim to compute, the closest to its own definition first."""

NOTHING = missing("too little was measured")

_WORDS = {truth.name: truth.words for truth in TRUTHS} | {"frozen": "optimum of the last layer"}


def judged(context: Context) -> list[tuple[str, str]]:
    """Returns every arm and estimator in natural order."""
    return list(dict.fromkeys((c.arm, c.estimator) for c in context.combinations))


def gather(context: Context, arm: str, estimator: str) -> Evidence:
    """Returns the evidence on an arm's score.

    The own target is the first of `TARGETS` that covers the score's parameters. Retraining is the
    last of `RETRAININGS`, of those with replicates if there are any; of the same parameters, or
    where there is none, of others, which is said.
    """
    rungs = declared(context, arm, estimator)
    standing = {rung.truth.name: rung.procedure for rung in rungs.every}
    target = next((standing[name] for name in TARGETS if name in standing), None)
    groups = _groups(context, arm, estimator)
    seed = derive_seed(context.source.run["seed"], "report intervals")

    def compared(procedure: str | None) -> Compared | None:
        if procedure is None:
            return None
        combination = Combination(arm, estimator, procedure)
        sample = of_pairs(context, combination)
        return Compared(
            _words(context, combination),
            NOTHING if sample is None else agreement(sample, "pearson", seed),
            mismatch=context.mismatch(combination),
        )

    procedure = _retraining(context, arm, standing, rungs.mismatched)
    retraining, measured = compared(procedure), None
    sample = of_pairs(context, Combination(arm, estimator, procedure)) if procedure else None
    if retraining and sample:
        measured = noise(sample, seed)
        if measured.mean.value is not None:
            retraining = replace(retraining, corrected=corrected(sample, measured, seed))
    return Evidence(compared(target), retraining, compared(groups), measured)


def _retraining(
    context: Context, arm: str, standing: dict[str, str], others: Iterable[Combination]
) -> str | None:
    candidates = [(name, standing[name]) for name in RETRAININGS if name in standing]
    if not candidates:
        truths = [(str(context.targets[c]["truth"]), c.procedure) for c in others]
        candidates = sorted(
            ((name, label) for name, label in truths if name in RETRAININGS),
            key=lambda item: (RETRAININGS.index(item[0]), natural(item[1])),
        )
    replicated = [item for item in candidates if _replicates(context, arm, item[1]) > 1]
    return (replicated or candidates)[-1][1] if candidates else None


def _replicates(context: Context, arm: str, procedure: str) -> int:
    grids = _grids(context, arm, procedure)
    return min((grid.values.shape[0] for grid in grids), default=0)


def _grids(context: Context, arm: str, procedure: str) -> list[Grid]:
    keys = [(cell["cell_id"], procedure) for cell in context.cells if cell["arm"] == arm]
    return [context.grids.effects[key] for key in keys if key in context.grids.effects]


def _groups(context: Context, arm: str, estimator: str) -> str | None:
    """Returns a procedure that removes groups, of the score's own parameters if there is one.

    One that removes the highest scores of some estimators is the last resort: those favour it.
    """
    found = [
        c
        for c in context.combinations
        if (c.arm, c.estimator) == (arm, estimator)
        and any(grid.group for grid in _grids(context, arm, c.procedure))
    ]
    if not found:
        return None

    def place(c: Combination) -> tuple[bool, bool]:
        return bool(context.mismatch(c)), context.targets[c]["truth"] == "remove_top"

    return min(found, key=place).procedure


def _words(context: Context, combination: Combination) -> str:
    """Returns words for a truth, with the procedure's label where they do not give it."""
    truth, label = context.targets[combination]["truth"] or "", combination.procedure
    words = _WORDS.get(truth, truth.replace("_", " ") or label)
    return words if label.replace("_", " ") in words else f"{words} ({label})"
