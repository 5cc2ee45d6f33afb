"""Results on disk: an append-only log of finished tasks and the DuckDB database derived from it.

The only place with SQL. Nothing here imports torch.
"""

from fragility.store.log import BatchRecord, TaskResult
from fragility.store.runs import PlanRecord, RunEnd, RunStart
from fragility.store.store import Store

__all__ = ["BatchRecord", "PlanRecord", "RunEnd", "RunStart", "Store", "TaskResult"]
