"""What a section hands to its template: sections, charts, keys and data tables, all plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fragility.report.source import Rows
from fragility.report.text import plain
from fragility.store.report_queries import Query

DATA_ROWS = 200


@dataclass(frozen=True)
class Section:
    """One section of the page: its anchor, its heading and the data of its template.

    The template is `templates/report/<id>.html`; it sees the data's keys as names.
    """

    id: str
    title: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """An entry of a legend; `shape` is one of dot, ring, line, dash, tick, band or a marker."""

    label: str
    token: str = "ink"
    shape: str = "dot"


@dataclass(frozen=True)
class Panel:
    """One SVG with the words above it."""

    svg: str
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class DataTable:
    """The rows behind a chart, the first `DATA_ROWS` of them, with the query for all."""

    query: Query
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int

    @property
    def rest(self) -> int:
        """How many rows are not shown."""
        return self.total - len(self.rows)


@dataclass(frozen=True)
class Chart:
    """A numbered figure: panels, legend, one sentence that says what they show, and the rows."""

    id: str
    title: str
    panels: Sequence[Panel]
    reading: str
    tables: Sequence[DataTable]
    keys: Sequence[Key] = ()
    notes: Sequence[str] = ()


def data_table(rows: Rows) -> DataTable:
    """Returns the folded table of a query's rows."""
    shown = tuple(tuple(plain(value) for value in record) for record in rows.records[:DATA_ROWS])
    return DataTable(rows.query, rows.columns, shown, len(rows))
