"""The tables that hold the facts, and the documentation of every table and view."""

from __future__ import annotations

from dataclasses import dataclass

from fragility.store.glossary import GLOSSARY

SCHEMA_VERSION = 8
"""Raise it when a table changes: older databases are then derived anew from the log."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its DuckDB type and one sentence on its meaning."""

    name: str
    type: str
    doc: str


@dataclass(frozen=True)
class Table:
    """A table or view: its name, one sentence on what a row is, and its columns."""

    name: str
    doc: str
    columns: tuple[Column, ...]

    def types(self) -> dict[str, str]:
        """Returns the DuckDB type of each column."""
        return {column.name: column.type for column in self.columns}

    def ddl(self) -> str:
        """Returns the statement that creates the table."""
        body = ", ".join(f'"{column.name}" {column.type}' for column in self.columns)
        return f'CREATE TABLE "{self.name}" ({body})'


def table(name: str, doc: str, columns: str, /, **docs: str) -> Table:
    """Returns a table whose columns mean what the glossary says, or what `docs` says here."""
    described = (
        Column(word, GLOSSARY[word][0], docs.get(word, GLOSSARY[word][1]))
        for word in columns.split()
    )
    return Table(name, doc, tuple(described))


RUN_STATUS = "running, done, failed (some tasks failed) or interrupted."
POOLED = "0-based position of the test example; null when all are pooled."
SCORED = (
    "0-based position of the test example; null where the training example's own loss is meant."
)
WHOLE_MODEL = "0-based position of the test example; null for a fact about the whole model."
TRAINING_ROLE = "base, retraining or placebo (retrained with nothing removed)."
POINT_ROLE = "How the point came to be chosen, for example by which selector."
POINT_VALUE = "The value the point was chosen by; null if by none."
TRAINING_COLUMNS = (
    "removed steps converged diverged grad_norm initial_train_loss train_loss train_accuracy"
    " test_loss test_accuracy distance seconds artifact"
)
AGREEMENT_COLUMNS = "metric weighting value ci_low ci_high chance ceiling n reason"
SUMMARY_COLUMNS = (
    "metric aggregation weighting value ci_low ci_high share_undefined n_test n reason"
)
EXAMPLE_COLUMNS = "source_row file label target prediction features picture"
SPECTRUM_COLUMNS = "matrix place eigenvalue weight"
EFFECT_COLUMNS = (
    "replicate removal test_point train_point group_id measurable before after effect score_scale"
)

RUNS = table(
    "runs",
    "One row per execution of a plan.",
    "run_id study title plan_id command overrides study_text study_path started finished status"
    " seconds ok cached failed skipped predicted_seconds peak_memory device threads compilation"
    " versions seed",
    status=RUN_STATUS,
    seconds="Wall time of the run in seconds.",
    seed="Seed of the study.",
)
RUN_SKIPS = table(
    "run_skips",
    "One row per task that a run skipped.",
    "run_id task_id reason",
    reason="Why the task was skipped.",
)
PLAN_TABLES = {
    "cells": table(
        "plan_cells",
        "One row per cell of a plan.",
        "plan_id cell_id study dataset model regularization training repeat seed factors n_train"
        " n_test parameters arm departure",
        seed="Seed of the cell.",
    ),
    "arms": table(
        "plan_arms",
        "One row per cell, estimator and procedure that a plan compares.",
        "plan_id cell_id estimator procedure truth score_parameters truth_parameters mismatch",
    ),
    "tasks": table(
        "plan_tasks",
        "One row per task of a plan and cell it serves; a task may serve several cells.",
        "plan_id task_id cell_id kind estimator procedure slot replicate batch_id",
    ),
}
TASK_RESULTS = table(
    "task_results",
    "One row per task that ended: its latest result.",
    "task_id kind status message seconds batch_id finished record position",
    status="ok or failed.",
)
FACTS = {
    facts.name: facts
    for facts in (
        table(
            "training_facts",
            "One row per trained model.",
            f"task_id role {TRAINING_COLUMNS}",
            role=TRAINING_ROLE,
        ),
        table(
            "score_facts",
            "One row per test point and training point that a task scored.",
            "task_id test_point train_point group_id score",
            test_point=SCORED,
        ),
        table(
            "point_facts",
            "One row per example that a task chose.",
            "task_id split point role value probability loss source_row",
            role=POINT_ROLE,
            value=POINT_VALUE,
        ),
        table(
            "effect_facts",
            "One row per replicate, test point and removal that a task measured.",
            f"task_id {EFFECT_COLUMNS}",
        ),
        table(
            "group_facts",
            "One row per training point of a removed group.",
            "task_id group_id rule train_point",
            group_id="The removed group.",
        ),
        table(
            "agreement_facts",
            "One row per metric, weighting and test point, and per metric and weighting pooled.",
            f"task_id test_point {AGREEMENT_COLUMNS}",
            test_point=POOLED,
        ),
        table(
            "summary_facts",
            "One row per metric, weighting and way of summarizing it over test points.",
            f"task_id {SUMMARY_COLUMNS}",
        ),
        table(
            "diagnostic_facts",
            "One row per fact about a trained model that explains agreement.",
            "task_id name test_point value detail",
            name="The diagnostic, for example `gradient_norm`.",
            test_point=WHOLE_MODEL,
        ),
        table(
            "spectrum_facts",
            "One row per eigenvalue of a curvature matrix, or per node of its quadrature.",
            f"task_id {SPECTRUM_COLUMNS}",
        ),
        table(
            "trajectory_facts",
            "One row per recorded step and test point of a retraining.",
            "task_id test_point step value train_loss",
            value="The measurable of the test example at this step.",
        ),
        table(
            "planted_facts",
            "One row per training example that the dataset of a base model planted.",
            "task_id train_point what original source_row",
        ),
        table(
            "example_facts",
            "One row per example that a task of a setting's first repeat shows.",
            f"task_id split point {EXAMPLE_COLUMNS}",
        ),
    )
}
LOG_FILES = table(
    "log_files",
    "One row per file of the log that this database was derived from.",
    "name bytes",
    name="The file, relative to the log.",
)
SCHEMA = table("schema", "One row: what these tables are.", "version")
TABLES = (RUNS, RUN_SKIPS, *PLAN_TABLES.values(), TASK_RESULTS, *FACTS.values(), LOG_FILES, SCHEMA)
