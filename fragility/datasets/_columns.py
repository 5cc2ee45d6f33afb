"""One table file as checked columns, read by DuckDB without network, extensions or other files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from fragility.errors import DataError, did_you_mean

Sort = Literal["whole", "decimal", "boolean", "text", "other"]

READERS = {
    "csv": "read_csv(?, header=true, sample_size=-1, hive_partitioning=false)",
    "parquet": "read_parquet(?, hive_partitioning=false)",
}
SORTS: dict[str, Sort] = {
    **dict.fromkeys(["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"], "whole"),
    **dict.fromkeys(["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"], "whole"),
    **dict.fromkeys(["FLOAT", "DOUBLE", "DECIMAL"], "decimal"),
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
    "ENUM": "text",
}


@dataclass(frozen=True)
class Table:
    """A table file held by DuckDB: `columns` maps each name to the sort of its values."""

    path: Path
    columns: dict[str, Sort]
    rows: int
    connection: duckdb.DuckDBPyConnection

    def numbers(self, name: str, use: str) -> NDArray[np.float64]:
        """Return a numeric column (rows,); `use` says what it is for.

        Raises:
            DataError: The column does not exist, is not numeric, or has missing values.
        """
        sort = self._sort(name, use)
        if sort not in ("whole", "decimal"):
            article = {"boolean": "true/false", "text": "text"}.get(sort, "dates or nested values")
            raise DataError(
                f"{self.path}: {use} `{name}` holds {article}{self._example(name)}, not numbers.",
                "Turn it into numeric columns (0/1, one column a category)"
                + (", or leave it out of `features`." if use == "feature" else "."),
            )
        fetched = self._fetch(f"CAST({quoted(name)} AS DOUBLE)")
        values = np.ma.filled(np.ma.asarray(fetched, dtype=np.float64), np.nan)
        self._refuse_missing(name, use, ~np.isfinite(values))
        return np.asarray(values, dtype=np.float64)

    def labels(self, name: str) -> list[int] | list[str]:
        """Return the column's classes (rows,): whole numbers, or texts.

        Raises:
            DataError: The column does not exist, has missing values, or does not hold classes.
        """
        sort = self._sort(name, "label")
        if sort == "other":
            raise DataError(
                f"{self.path}: label `{name}` holds neither text nor numbers{self._example(name)}.",
                "Turn the classes into text or whole numbers.",
            )
        if sort in ("whole", "decimal"):
            values = self.numbers(name, "label")
            if (values != np.floor(values)).any():
                raise DataError(
                    f"{self.path}: label `{name}` holds decimal numbers{self._example(name)}.",
                    "Set `task: regression`, or turn the classes into text or whole numbers.",
                )
            return [int(value) for value in values]
        fetched = np.ma.asarray(self._fetch(f"CAST({quoted(name)} AS VARCHAR)"))
        self._refuse_missing(name, "label", np.ma.getmaskarray(fetched))
        return [str(value) for value in fetched]

    def _sort(self, name: str, use: str) -> Sort:
        if name not in self.columns:
            raise DataError(
                f"{self.path} has no column `{name}` ({use}).{did_you_mean(name, [*self.columns])}",
                f"Its columns: {', '.join(self.columns)}.",
            )
        return self.columns[name]

    def _example(self, name: str) -> str:
        row = self.connection.execute(
            f"SELECT {quoted(name)} FROM data WHERE {quoted(name)} IS NOT NULL LIMIT 1"
        ).fetchone()
        return "" if row is None else f" (such as `{row[0]}`)"

    def _fetch(self, expression: str) -> Any:
        return self.connection.execute(f"SELECT {expression} AS it FROM data").fetchnumpy()["it"]

    def _refuse_missing(self, name: str, use: str, missing: NDArray[np.bool_]) -> None:
        count = int(np.count_nonzero(missing))
        if count:
            rows = "row" if count == 1 else "rows"
            raise DataError(
                f"{self.path}: {use} `{name}` is missing or not finite in {count} {rows} of"
                f" {self.rows} (the first is row {int(np.argmax(missing))}, from 0).",
                "Fill in or remove these rows; nothing is imputed.",
            )


def read_table(path: Path, kind: Literal["csv", "parquet"]) -> Table:
    """Return the table in `path`, with at least one row.

    Raises:
        DataError: The file is not of this kind, or is empty.
    """
    connection = duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False},
    )
    try:
        connection.execute("SET allowed_paths = [" + quoted(str(path), "'") + "]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        connection.execute(f"CREATE TABLE data AS FROM {READERS[kind]}", [str(path)])
    except duckdb.Error as error:
        raise DataError(
            f"{path} cannot be read as {kind}: {_first_paragraph(error)}.",
            "Check the file, or the dataset's `kind`."
            + (" A csv file begins with a line of column names." if kind == "csv" else ""),
        ) from error
    described = connection.execute("DESCRIBE data").fetchall()
    columns = {str(row[0]): SORTS.get(str(row[1]).split("(")[0], "other") for row in described}
    counted = connection.execute("SELECT count(*) FROM data").fetchone()
    rows = int(counted[0]) if counted else 0
    if rows == 0:
        raise DataError(f"{path} has no rows.", "A table needs rows below its column names.")
    return Table(path, columns, rows, connection)


def quoted(text: str, mark: str = '"') -> str:
    """Return `text` as an SQL identifier, or as a string with `mark` a single quote."""
    return mark + text.replace(mark, mark * 2) + mark


def _first_paragraph(error: duckdb.Error) -> str:
    """Return what happened, without DuckDB's advice, which is about SQL."""
    return "; ".join(str(error).split("\n\n")[0].splitlines()).rstrip(".")
