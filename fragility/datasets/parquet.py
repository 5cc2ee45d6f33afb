"""Examples in a parquet file."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.datasets._table_dataset import TableDataset


class Parquet(TableDataset):
    """A parquet file: one example a row.

    Read by DuckDB, without network; only plain files on this machine.
    The result depends on the file's content, not on its name or place.

    Valid when: features are numbers and no value is missing; nothing is encoded or imputed.
    Cost: reading the file; it is held in memory.
    Reference: DuckDB, https://duckdb.org.
    """

    format: ClassVar[Literal["csv", "parquet"]] = "parquet"

    kind: Literal["parquet"] = "parquet"
