"""The only way from the report to the store: a named query in, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from fragility.store import report_queries
from fragility.store.report_queries import Query
from fragility.store.views import RUN_VARIABLE

Row = Mapping[str, Any]
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Rows:
    """What a query returned: column names and one tuple a row."""

    query: Query
    columns: tuple[str, ...]
    records: tuple[tuple[Any, ...], ...]

    @cached_property
    def dicts(self) -> tuple[Row, ...]:
        """The rows as mappings from column to value."""
        return tuple(dict(zip(self.columns, record, strict=True)) for record in self.records)

    def __len__(self) -> int:
        return len(self.records)


class Source:
    """Answers named queries over one run, each at most once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
        self._connection = connection
        self._answers: dict[str, Rows] = {}
        self._columns: dict[str, Columns] = {}
        self.run_id = run_id

    def beside(self, run_id: str) -> Source:
        """Returns a source over another run of the same store."""
        cursor = self._connection.cursor()
        cursor.execute(f"SET VARIABLE {RUN_VARIABLE} = {report_queries.text(run_id)}")
        return Source(cursor, run_id)

    def fetch(self, query: Query) -> Rows:
        """Returns the query's rows; the same SQL is asked only once."""
        if query.sql not in self._answers:
            cursor = self._connection.execute(query.sql)
            columns = tuple(column[0] for column in cursor.description or ())
            records = tuple(tuple(record) for record in cursor.fetchall())
            self._answers[query.sql] = Rows(query, columns, records)
        return self._answers[query.sql]

    def columns(self, query: Query) -> Columns:
        """Returns the query's columns as arrays, for rows by the million; NaN for a null number."""
        if query.sql not in self._columns:
            found = self._connection.execute(query.sql).fetchnumpy()
            self._columns[query.sql] = {name: _plain(column) for name, column in found.items()}
        return self._columns[query.sql]

    def ask(self, query: Query) -> tuple[Row, ...]:
        """Returns the query's rows as mappings."""
        return self.fetch(query).dicts

    @cached_property
    def run(self) -> Row:
        """The run's row; empty when the store does not know the run."""
        rows = self.ask(report_queries.run(self.run_id))
        return rows[0] if rows else {}


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(column, np.ma.MaskedArray):
        return column
    return np.where(np.ma.getmaskarray(column), np.nan, column.data.astype(np.float64))
