"""The controls before any verdict: what has to come out where the answer is known, and what did."""

from __future__ import annotations

from fragility.report.context import Context
from fragility.report.controls import Control
from fragility.report.parts import DataTable, Section
from fragility.report.text import count, listing, plural

TITLE = "Controls"
PASSED = (
    "exact scores of convex models agree with retraining and leverage explains the rest, wrong"
    " labels and copies show as they must, one half of the retrainings reaches what noise allows"
    " the other, and what knows nothing agrees with nothing"
)
NOT_RUN = (
    "The shipped controls are not in this store. `fragility run` measures them before a study,"
    " unless the study says `controls: false`."
)


def section(context: Context) -> Section:
    """Returns the shipped controls, those of the study's own rows, and what they rest on."""
    shipped, own = context.controls.rows, context.own_controls
    data = {
        "lead": _lead(shipped, own),
        "failed": any(not row.passed for row in (*shipped, *own)),
        "rows": [*shipped, *own],
        "runs": listing([f"`{run}`" for run in context.controls.runs.values()]),
        "tables": [_told(study, table) for study, table in context.controls.tables],
    }
    return Section("controls", TITLE, data)


def _lead(shipped: tuple[Control, ...], own: tuple[Control, ...]) -> list[str]:
    rows = (*shipped, *own)
    failed = [row.name for row in rows if not row.passed]
    lead = [] if shipped else [NOT_RUN]
    if failed:
        lead.append(
            f"Controls failed: {listing(failed)}. What has to come out where the answer is known"
            " did not: until that is explained, no number on this page should be relied on."
        )
    elif rows:
        of_study = f", {count(len(own))} of them on this study's own rows" if own else ""
        what = f": {PASSED}" if shipped else ""
        lead.append(f"All {plural(len(rows), 'control')} passed{of_study}{what}.")
    return lead


def _told(study: str, table: DataTable) -> tuple[str, DataTable]:
    return f"fragility query --run {study}", table
