"""Every question the command line asks of the store.

As in `report_queries`, each is complete SQL over the public views.
"""

from __future__ import annotations

from fragility.store.report_queries import Query, text

RUNS = Query(
    "runs",
    "Every run, newest first.",
    """\
SELECT run_id, study, started, status, ok, cached, failed, skipped, seconds
FROM runs
ORDER BY started DESC, run_id DESC""",
)

RUN_IDS = Query(
    "run_ids",
    "What a run can be named by, newest first.",
    "SELECT run_id, study, study_path FROM runs ORDER BY started DESC, run_id DESC",
)

TASKS = Query(
    "tasks",
    "Tasks of the run by kind and status, in the order of the work.",
    """\
SELECT kind, count(*) AS tasks,
       count(*) FILTER (status = 'ok') AS ok,
       count(*) FILTER (status = 'failed') AS failed,
       count(*) FILTER (status = 'skipped') AS skipped,
       count(*) FILTER (status = 'pending') AS pending,
       sum(seconds) AS seconds
FROM (SELECT DISTINCT task_id, kind, status, seconds FROM tasks)
GROUP BY kind
ORDER BY list_position(['train', 'estimate', 'retrain', 'measure', 'diagnose'], kind), kind""",
)


def run(run_id: str) -> Query:
    """One run, every column."""
    return Query("run", "One run.", f"SELECT * FROM runs WHERE run_id = {text(run_id)}")


REPEATS = Query(
    "repeats",
    "Every metric of each repeat of an arm: its median over test points.",
    """\
SELECT c.arm, s.estimator, s.procedure, s.metric, c.repeat, c.seed, s.value
FROM summaries s JOIN cells c USING (cell_id)
WHERE s.aggregation = 'median' AND s.weighting = 'raw'
ORDER BY c.arm, s.estimator, s.procedure, s.metric, c.repeat""",
)
