"""Examples in a csv file."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.datasets._table_dataset import TableDataset


class Csv(TableDataset):
    """A csv file: a line of column names, then one example a row.

    Read by DuckDB, without network; only plain files on this machine. Separator and column types
    are found out. The result depends on the file's content, not on its name or place.

    Valid when: features are numbers and no value is missing; nothing is encoded or imputed.
    Cost: reading the file; it is held in memory.
    Reference: DuckDB, https://duckdb.org.
    """

    format: ClassVar[Literal["csv", "parquet"]] = "csv"

    kind: Literal["csv"] = "csv"
