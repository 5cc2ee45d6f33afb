"""The table that ends a run: how well scores agree with retraining, one line an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fragility.cli import text
from fragility.store import queries, report_queries

SHOWN = 24
ABSOLUTE = {"|pearson|": "|Pearson|", "|spearman|": "|Spearman|", "|kendall|": "|Kendall|"}
"""Shown where a study asks for them, and never without what chance gives."""

Row = Mapping[str, Any]
Arm = tuple[str, str, str]


def agreement_table(root: Path, run_id: str) -> str:
    """Returns the lines of a run's agreement table; empty when nothing has been measured.

    Values are those of the report: medians over test points, averaged over the repeats of an arm,
    in brackets a 95 % interval (over training points; over repeats where there are several). The
    report takes longer and gives intervals over all that was drawn.
    """
    with queries.connect(root, run_id) as connection:
        agreements = _rows(connection, report_queries.AGREEMENT.sql)
        targets = _rows(connection, report_queries.TARGETS.sql)
    return render(agreements, targets)


def render(agreements: Sequence[Row], targets: Sequence[Row]) -> str:
    """Returns the table of already fetched rows."""
    arms: dict[Arm, dict[str, Row]] = {}
    for row in agreements:
        arms.setdefault(_arm(row), {})[row["metric"]] = row
    if not arms:
        return ""
    target = {_arm(row): _target(row) for row in targets}
    sizes = [metric for metric in ABSOLUTE if any(metric in found for found in arms.values())]
    header = (
        *("arm", "estimator", "procedure", "Pearson", "Spearman"),
        *(ABSOLUTE[metric] for metric in sizes),
        *("slope", "ceiling", "target"),
    )
    lines = [
        (
            *arm,
            _estimate(metrics.get("pearson")),
            _estimate(metrics.get("spearman")),
            *(_beside_chance(metrics.get(metric)) for metric in sizes),
            _value(metrics.get("slope"), "value"),
            _value(metrics.get("pearson"), "ceiling"),
            target.get(arm, ""),
        )
        for arm, metrics in arms.items()
    ]
    table = text.table(header, lines[:SHOWN], indent="  ")
    more = len(lines) - SHOWN
    return table if more <= 0 else f"{table}\n  and {text.plural(more, 'arm')} more in the report"


def _rows(connection: Any, sql: str) -> list[Row]:
    cursor = connection.execute(sql)
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, record, strict=True)) for record in cursor.fetchall()]


def _arm(row: Row) -> Arm:
    return (row["arm"], row["estimator"], row["procedure"])


def _target(row: Row) -> str:
    if row["mismatch"] is None:
        return "same parameters"
    return f"MISMATCH: score {row['score_parameters']}, truth {row['truth_parameters']}"


def _estimate(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    low, high = row["ci_low"], row["ci_high"]
    if row["defined"] > 1:
        from fragility.report.statistics import t_half_width, within_bounds

        half = t_half_width(row["deviation"], row["defined"])
        low, high = within_bounds(row["metric"], row["value"] - half, row["value"] + half)
    known = [number for number in (row["value"], low, high) if number is not None]
    places = max(_places(number) for number in known)
    value = f"{row['value']:.{places}f}"
    return value if low is None else f"{value} [{_bare(low, places)},{_bare(high, places)}]"


def _beside_chance(row: Row | None) -> str:
    chance = _value(row, "chance")
    return _estimate(row) if chance == "-" else f"{_estimate(row)} chance {chance}"


def _value(row: Row | None, column: str) -> str:
    if row is None or row[column] is None:
        return "-"
    number = row[column]
    if abs(number) >= 100 or 0 < abs(number) < 0.01:
        return f"{number:.2g}"
    return f"{number:.{_places(number)}f}"


def _places(number: float) -> int:
    """Returns 2, and near one as many decimals as keep a value below one from reading as one."""
    if not 0.99 < abs(number) < 1:
        return 2
    return next((n for n in (2, 3, 4, 5) if abs(number) < 1 - 0.5 * 10**-n), 2)


def _bare(number: float, places: int) -> str:
    digits = f"{number:.{places}f}"
    return digits.replace("0.", ".", 1) if abs(number) < 1 else digits
