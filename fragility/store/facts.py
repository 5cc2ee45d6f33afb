"""What a record may say: the fact tables' columns, their types and their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fragility.store.columns import is_text, normalize
from fragility.store.log import BatchRecord
from fragility.store.schema import FACTS

_INT_LIMIT = 2**31


def conform(record: BatchRecord) -> BatchRecord:
    """Returns the record with columns that the database can take in: the log keeps it for ever.

    Raises:
        ValueError: a fact table or column there is not, or values that do not fit its type.
    """
    tables: dict[str, dict[str, NDArray[Any]]] = {}
    for name, columns in record.tables.items():
        if name not in FACTS:
            raise ValueError(f"there is no fact table {name}; there are {sorted(FACTS)}")
        types = FACTS[name].types() | {"task": "INTEGER"}
        for column in columns:
            if column not in types or column == "task_id":
                raise ValueError(f"{name} has no column {column}; it has {sorted(types)}")
        tables[name] = {
            column: _conform(f"column {column} of {name}", values, types[column])
            for column, values in columns.items()
        }
    return replace(record, tables=tables)


def _conform(what: str, values: NDArray[Any] | Sequence[Any], kind: str) -> NDArray[Any]:
    column = normalize(values)
    if not column.size:
        return np.empty(0, dtype=object if kind == "VARCHAR" else np.float64)
    if is_text(column) and kind != "VARCHAR" and all(value is None for value in column):
        return np.full(len(column), np.nan)
    if is_text(column) != (kind == "VARCHAR"):
        raise ValueError(f"{what} must be {kind}")
    if kind == "INTEGER":
        known = column[~np.isnan(column)] if column.dtype.kind == "f" else column
        if not np.all(np.abs(known) < _INT_LIMIT):
            raise ValueError(f"{what} must be {kind}")
    return column
