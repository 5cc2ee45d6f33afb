"""The values of runs kept small as Parquet, and read back as the tables they came from.

A store holds every score and effect; what a page of results needs is a value a repeat. `record`
writes that, one file a study and `runs.parquet`, of runs that may lie in several stores; over the
files, `connect` answers the queries on cells, agreements, diagnostics and trainings that a store
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fragility.errors import UsageError
from fragility.store import queries
from fragility.store.recorded_examples import gather, others
from fragility.store.report_queries import Query, text

RUNS_FILE = "runs.parquet"

CORRELATIONS = ("spearman", "pearson")

_DATA_OF_A_MACHINE = r"'--data=/[^']*'|--data[ =](/\S+|'/[^']*')"


@dataclass(frozen=True)
class Recording:
    """A run to record, the store it is in, and the metrics whose values are kept."""

    root: Path
    run_id: str
    study: str
    metrics: Sequence[str] = CORRELATIONS


def values(metrics: Sequence[str]) -> Query:
    """Every number of one run that is kept, a row each."""
    return Query(
        "recorded_values",
        "Of one run, a row for each number: agreements by estimator, procedure and test point,"
        " diagnostics and training accuracy of base models.",
        f"""\
WITH numbers AS (
  SELECT cell_id, estimator, procedure, test_point, metric, value, n, reason
  FROM agreements
  WHERE test_point IS NOT NULL AND weighting = 'raw'
    AND metric IN ({", ".join(text(name) for name in metrics)})
  UNION ALL
  SELECT cell_id, NULL, NULL, NULL, name, value, NULL, NULL
  FROM diagnostics
  WHERE name IN ('hessian_top_eigenvalue', 'hessian_bottom_eigenvalue')
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


def run(run_id: str, root: Path) -> Query:
    """The facts of one run, and the time of all tasks it rests on, where the views show it.

    Where its command names the store by its place on the machine, `root` stands instead; for such
    a place of the images, `data`.
    """
    command = f"replace(r.command, {text(str(root.resolve()))}, {text(root.as_posix())})"
    command = f"regexp_replace({command}, {text(_DATA_OF_A_MACHINE)}, '--data data')"
    return Query(
        "recorded_run",
        "What is known of a run, with the time that its tasks took, whichever run did them.",
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
WHERE r.run_id = {text(run_id)}""",
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


def record(chosen: Sequence[Recording], folder: Path, *, keep: bool = False) -> list[Path]:
    """Writes the values of runs into a folder, each run of a study of its own.

    Files of the same name are replaced, and those of studies that were recorded there and are not
    chosen any more are removed, or stay with `keep`. Raises `UsageError` when there is no such
    store or run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before, names = known(folder), [one.study for one in chosen]
    paths = [folder / RUNS_FILE]
    facts = others(paths[0], names) if keep else []
    for place, one in enumerate(chosen):
        facts.append(folder / f".run-{place}.parquet")
        queries.export(one.root, run(one.run_id, one.root).sql, facts[-1], run=one.run_id)
        paths.append(folder / f"{one.study}.parquet")
        queries.export(one.root, values(one.metrics).sql, paths[-1], run=one.run_id)
    gather(facts, paths[0], "study")
    for name in [] if keep else set(before) - set(names):
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    return paths


def known(folder: Path) -> list[str]:
    """Returns the studies that were recorded in a folder, none where nothing was."""
    return [name for name, _ in studies(folder)] if (folder / RUNS_FILE).is_file() else []


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
        "SELECT arm, repeat, estimator, procedure, test_point, metric, value, n"
        f" FROM {text(f'{folder}/{study}.parquet')} ORDER BY ALL"
    )
