"""The values of runs kept small as Parquet, and read back as the tables they came from.

A store holds every score and effect; what a page of results needs is a value a repeat. `record`
writes that, one file a study and `runs.parquet`; over the files, `connect` answers the queries on
cells, agreements, diagnostics and trainings that a store answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from fragility.errors import UsageError
from fragility.store import queries
from fragility.store.report_queries import Query, text

RUNS_FILE = "runs.parquet"

VALUES = Query(
    "recorded_values",
    "Of one run, a row for each number: agreements by estimator, procedure and test point,"
    " diagnostics and training accuracy of base models.",
    """\
WITH numbers AS (
  SELECT cell_id, estimator, procedure, test_point, metric, value, n, reason
  FROM agreements
  WHERE test_point IS NOT NULL AND weighting = 'raw' AND metric IN ('spearman', 'pearson')
  UNION ALL
  SELECT cell_id, NULL, NULL, NULL, name, value, NULL, NULL
  FROM diagnostics
  WHERE name IN ('hessian_top_eigenvalue', 'hessian_bottom_eigenvalue', 'gradient_norm')
    AND task_id IN (SELECT task_id FROM tasks WHERE estimator IS NULL)
  UNION ALL
  SELECT cell_id, NULL, NULL, NULL, 'train_accuracy', train_accuracy, NULL, NULL
  FROM trainings WHERE role = 'base'
  UNION ALL
  SELECT cell_id, NULL, NULL, NULL, 'training_steps', steps, NULL, NULL
  FROM trainings WHERE role = 'base')
SELECT c.study, c.arm, c.dataset, c.model, c.regularization, c.training, c.factors, c.repeat,
       c.parameters, v.estimator, v.procedure, a.score_parameters, a.truth, a.truth_parameters,
       a.mismatch, v.test_point, v.metric, v.value, v.n, v.reason
FROM numbers v JOIN cells c USING (cell_id)
LEFT JOIN arms a USING (cell_id, estimator, procedure)
ORDER BY ALL""",
)


def runs(run_ids: Sequence[str], root: Path) -> Query:
    """The facts of runs, each the newest of its study, and the time of all tasks they rest on.

    Where a command names the store by its place on the machine, `root` stands instead.
    """
    command = f"replace(r.command, {text(str(root.resolve()))}, {text(root.as_posix())})"
    return Query(
        "recorded_runs",
        "What is known of each run, with the time that its tasks took, whichever run did them.",
        f"""\
WITH spent AS (
  SELECT study, sum(seconds) AS task_seconds, count(*) AS tasks,
         count(*) FILTER (status = 'ok') AS finished_tasks
  FROM (SELECT DISTINCT c.study, t.task_id, t.seconds, t.status
        FROM tasks t JOIN cells c USING (cell_id))
  GROUP BY study)
SELECT r.run_id, r.study, r.title, {command} AS command, r.overrides, r.study_text,
       r.study_path, r.started, r.finished, r.status, r.device, r.threads, r.compilation,
       r.versions, r.seed, s.task_seconds, s.tasks, s.finished_tasks
FROM runs r LEFT JOIN spent s USING (study)
WHERE r.run_id IN ({", ".join(text(run_id) for run_id in run_ids)})
ORDER BY r.study""",
    )


_TABLES = {
    "cells": """\
SELECT DISTINCT arm || ' ' || repeat AS cell_id, study, arm, dataset, model, regularization,
       training, factors, repeat, NULL::BIGINT AS seed, NULL::INTEGER AS n_train,
       NULL::INTEGER AS n_test, parameters
FROM recorded""",
    "agreements": """\
SELECT arm || ' ' || repeat AS cell_id, estimator, procedure, test_point, metric,
       'raw' AS weighting, value, n, reason
FROM recorded WHERE estimator IS NOT NULL""",
    "arms": """\
SELECT DISTINCT arm || ' ' || repeat AS cell_id, estimator, procedure, score_parameters, truth,
       truth_parameters, mismatch
FROM recorded WHERE estimator IS NOT NULL""",
    "diagnostics": """\
SELECT arm || ' ' || repeat AS cell_id, metric || ' ' || arm || ' ' || repeat AS task_id,
       metric AS name, value
FROM recorded WHERE estimator IS NULL""",
    "tasks": "SELECT task_id, cell_id, NULL::VARCHAR AS estimator FROM diagnostics",
    "trainings": """\
SELECT cell_id, 'base' AS role,
       max(value) FILTER (name = 'train_accuracy') AS train_accuracy,
       max(value) FILTER (name = 'training_steps')::INTEGER AS steps
FROM diagnostics GROUP BY cell_id""",
}


def record(root: Path, run_ids: Sequence[str], folder: Path) -> list[Path]:
    """Writes the values of runs of a store, each the newest of its study, into a folder.

    Files of the same name are replaced. Raises `UsageError` when there is no such store or run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / RUNS_FILE
    queries.export(root, runs(run_ids, root).sql, written)
    found = queries.query(root, f"SELECT run_id, study FROM ({runs(run_ids, root).sql})").rows
    paths = [written]
    for run_id, study in found:
        paths.append(folder / f"{study}.parquet")
        queries.export(root, VALUES.sql, paths[-1], run=str(run_id))
    return paths


def studies(folder: Path) -> list[tuple[str, str]]:
    """Returns study and run of every study that was recorded in a folder.

    Raises:
        UsageError: nothing was.
    """
    path = folder / RUNS_FILE
    if not path.is_file():
        raise UsageError(f"There is no `{path}`.", "Record runs first: see docs/reproduction.md.")
    with duckdb.connect() as connection:
        sql = f"SELECT study, run_id FROM read_parquet({text(str(path))}) ORDER BY study"
        return [(str(study), str(run_id)) for study, run_id in connection.execute(sql).fetchall()]


def connect(folder: Path, study: str) -> duckdb.DuckDBPyConnection:
    """Returns a connection that holds the recorded run of a study as a store's tables would."""
    connection = duckdb.connect()
    values, facts = (text(str(folder / name)) for name in (f"{study}.parquet", RUNS_FILE))
    connection.execute(f"CREATE TABLE recorded AS SELECT * FROM read_parquet({values})")
    connection.execute(
        f"CREATE TABLE runs AS SELECT * FROM read_parquet({facts}) WHERE study = {text(study)}"
    )
    for name, sql in _TABLES.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    return connection


def rows_of(study: str, folder: str) -> str:
    """Returns the query that a page prints for a study's rows, beside the folder it is in."""
    return (
        "SELECT arm, repeat, estimator, procedure, metric, value, n"
        f" FROM {text(f'{folder}/{study}.parquet')} ORDER BY ALL"
    )
