"""Failures: what failed, was skipped, diverged or did not converge, and why; none is said."""

from __future__ import annotations

from fragility.report.context import Context, natural
from fragility.report.parts import Section, data_table
from fragility.report.text import count, plural
from fragility.store import report_queries as ask

GROUPS = 40


def section(context: Context) -> Section:
    """Returns failed and skipped tasks by reason, and retrainings that did not end well."""
    rows = context.source.fetch(ask.FAILURES)
    groups = [
        [
            row["status"],
            row["kind"],
            " · ".join(
                part
                for part in (context.arm_label(row["arm"]), row["estimator"], row["procedure"])
                if part
            ),
            count(row["tasks"]),
            row["reason"],
            row["example"],
        ]
        for row in rows.dicts[:GROUPS]
    ]
    data = {
        "groups": groups,
        "rest": len(rows) - len(groups),
        "unconverged": _unconverged(context),
        "tables": [data_table(rows)],
    }
    return Section("failures", "Failures", data)


def _unconverged(context: Context) -> list[str]:
    lines = []
    for query, column, noun in (
        (ask.BASE_MODELS, "models", "base model"),
        (ask.RETRAININGS, "retrainings", "retraining"),
    ):
        for row in sorted(context.source.ask(query), key=lambda row: natural(row["arm"])):
            label = context.procedure_label(row["arm"], row.get("procedure") or "")
            if row["diverged"]:
                lines.append(f"{label}: {plural(row['diverged'], noun)} diverged.")
            open_ended = row["judged"] - row["converged"] - row["diverged"]
            if row["judged"] and open_ended > 0:
                lines.append(
                    f"{label}: {count(open_ended)} of {plural(row[column], noun)} reached the step"
                    " limit before the stopping rule."
                )
    return lines
