"""Where examples come from."""

from fragility.datasets.base import (
    DATASETS,
    Data,
    Dataset,
    Examples,
    Facts,
    Source,
    Subset,
    Task,
    facts,
)

__all__ = ["DATASETS", "Data", "Dataset", "Examples", "Facts", "Source", "Subset", "Task", "facts"]
