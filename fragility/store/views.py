"""The views: what queries and reports read, for the newest run of each study or for one run."""

from __future__ import annotations

from dataclasses import dataclass

from fragility.store.runs import CONTROLS
from fragility.store.schema import (
    AGREEMENT_COLUMNS,
    EFFECT_COLUMNS,
    EXAMPLE_COLUMNS,
    POINT_ROLE,
    POINT_VALUE,
    POOLED,
    SCORED,
    SPECTRUM_COLUMNS,
    SUMMARY_COLUMNS,
    TRAINING_COLUMNS,
    TRAINING_ROLE,
    WHOLE_MODEL,
    Table,
    table,
)

RUN_VARIABLE = "run"
"""`SET VARIABLE run = '<run_id>'` turns all views to that run."""


@dataclass(frozen=True)
class View:
    """A view: its documentation and the query behind it."""

    table: Table
    sql: str

    def ddl(self) -> str:
        """Returns the statement that creates the view."""
        return f'CREATE VIEW "{self.table.name}" AS {self.sql}'


def _listed(columns: str, of: str) -> str:
    return ", ".join(f"{of}.{column}" for column in columns.split())


def _agreed(columns: str) -> str:
    # Agreements from before there was a weighting have none.
    return _listed(columns, "f").replace("f.weighting", "coalesce(f.weighting, 'raw') AS weighting")


def _labels(columns: str) -> str:
    # The same task may stand in a plan, or in several current plans, more than once under the
    # same labels; its facts must not multiply.
    return f"(SELECT DISTINCT task_id, cell_id, {columns} FROM current_tasks)"


_OTHERS = f"coalesce(study_path, '') NOT IN {CONTROLS}"

CURRENT_PLANS = View(
    table(
        "current_plans",
        "One row per study: its newest run, or the run chosen with `--run`; controls beside other"
        " studies are shown only when chosen.",
        "run_id study plan_id",
    ),
    f"""SELECT run_id, study, plan_id FROM runs
    WHERE run_id = getvariable('{RUN_VARIABLE}') OR getvariable('{RUN_VARIABLE}') IS NULL
      AND ({_OTHERS} OR NOT EXISTS (SELECT 1 FROM runs WHERE {_OTHERS}))
    QUALIFY row_number() OVER (PARTITION BY study ORDER BY started DESC, run_id DESC) = 1""",
)
CURRENT_TASKS = View(
    table(
        "current_tasks",
        "One row per task and cell of the current plans, executed or not.",
        "task_id cell_id kind estimator procedure slot replicate batch_id",
    ),
    """SELECT task_id, cell_id, kind, estimator, procedure, slot, replicate,
        min(batch_id) AS batch_id
    FROM plan_tasks WHERE plan_id IN (SELECT plan_id FROM current_plans)
    GROUP BY task_id, cell_id, kind, estimator, procedure, slot, replicate""",
)
CELLS = View(
    table(
        "cells",
        "One row per cell: one resolved setting of everything, with one base model.",
        "cell_id study dataset model regularization training repeat seed factors n_train n_test"
        " parameters arm departure",
        seed="Seed of the cell.",
    ),
    """SELECT DISTINCT * EXCLUDE (plan_id) FROM plan_cells
    WHERE plan_id IN (SELECT plan_id FROM current_plans)""",
)
ARMS = View(
    table(
        "arms",
        "One row per cell, estimator and procedure that are compared.",
        "cell_id estimator procedure truth score_parameters truth_parameters mismatch",
    ),
    """SELECT DISTINCT * EXCLUDE (plan_id) FROM plan_arms
    WHERE plan_id IN (SELECT plan_id FROM current_plans)""",
)
TASKS = View(
    table(
        "tasks",
        "One row per task and cell it serves, executed or not.",
        "task_id cell_id kind estimator procedure slot replicate batch_id status message seconds"
        " finished",
        status="ok, failed, skipped (something it needs failed) or pending.",
    ),
    """SELECT t.*,
        coalesce(r.status, if(s.task_id IS NULL, 'pending', 'skipped')) AS status,
        coalesce(r.message, if(r.task_id IS NULL, s.reason, NULL)) AS message,
        r.seconds, r.finished
    FROM current_tasks t
    LEFT JOIN task_results r USING (task_id)
    LEFT JOIN (
        SELECT task_id, min(reason) AS reason FROM run_skips
        WHERE run_id IN (SELECT run_id FROM current_plans) GROUP BY task_id
    ) s USING (task_id)""",
)
TRAININGS = View(
    table(
        "trainings",
        "One row per trained model: base models, retrainings and placebos.",
        f"task_id cell_id role procedure replicate {TRAINING_COLUMNS}",
        role=TRAINING_ROLE,
    ),
    f"""SELECT f.task_id, t.cell_id, f.role, t.procedure, t.replicate,
        {_listed(TRAINING_COLUMNS, "f")}
    FROM {_labels("procedure, replicate")} t JOIN training_facts f USING (task_id)""",
)
POINTS = View(
    table(
        "points",
        "One row per test or training example that a procedure chose.",
        "cell_id procedure split point role value probability loss source_row",
        role=POINT_ROLE,
        value=POINT_VALUE,
    ),
    f"""SELECT DISTINCT t.cell_id, t.procedure,
        {_listed("split point role value probability loss source_row", "f")}
    FROM {_labels("procedure")} t JOIN point_facts f USING (task_id)""",
)
SCORES = View(
    table(
        "scores",
        "One row per cell, estimator, test point and training point, or group of them.",
        "cell_id estimator test_point train_point group_id score",
        test_point=SCORED,
    ),
    f"""SELECT t.cell_id, t.estimator, f.test_point, f.train_point, f.group_id,
        min(f.score) AS score
    FROM {_labels("estimator")} t JOIN score_facts f USING (task_id)
    GROUP BY t.cell_id, t.estimator, f.test_point, f.train_point, f.group_id""",
)
EFFECTS = View(
    table(
        "effects",
        "One row per replicate, test point and removal: raw values, never means.",
        f"cell_id procedure {EFFECT_COLUMNS}",
    ),
    f"""SELECT t.cell_id, t.procedure, {_listed(EFFECT_COLUMNS, "f")}
    FROM {_labels("procedure")} t JOIN effect_facts f USING (task_id)""",
)
GROUPS = View(
    table(
        "groups",
        "One row per training point of a group that a procedure removed.",
        "cell_id procedure group_id rule train_point",
        group_id="The removed group.",
    ),
    f"""SELECT DISTINCT t.cell_id, t.procedure, f.group_id, f.rule, f.train_point
    FROM {_labels("procedure")} t JOIN group_facts f USING (task_id)""",
)
AGREEMENTS = View(
    table(
        "agreements",
        "One row per arm, metric, weighting and test point, and pooled over test points.",
        f"cell_id estimator procedure test_point {AGREEMENT_COLUMNS}",
        test_point=POOLED,
    ),
    f"""SELECT t.cell_id, t.estimator, t.procedure, f.test_point, {_agreed(AGREEMENT_COLUMNS)}
    FROM {_labels("estimator, procedure")} t JOIN agreement_facts f USING (task_id)""",
)
SUMMARIES = View(
    table(
        "summaries",
        "One row per arm, metric, weighting and way of summarizing it over test points.",
        f"cell_id estimator procedure {SUMMARY_COLUMNS}",
    ),
    f"""SELECT t.cell_id, t.estimator, t.procedure, {_agreed(SUMMARY_COLUMNS)}
    FROM {_labels("estimator, procedure")} t JOIN summary_facts f USING (task_id)""",
)
DIAGNOSTICS = View(
    table(
        "diagnostics",
        "One row per fact about a trained model that explains agreement.",
        "cell_id task_id name test_point value detail",
        name="The diagnostic, for example `gradient_norm`.",
        test_point=WHOLE_MODEL,
    ),
    """SELECT DISTINCT t.cell_id, f.task_id, f.name, f.test_point, f.value, f.detail
    FROM current_tasks t JOIN diagnostic_facts f USING (task_id)""",
)
SPECTRA = View(
    table(
        "spectra",
        "One row per eigenvalue of a curvature at a base model, or per node of its quadrature.",
        f"cell_id task_id estimator {SPECTRUM_COLUMNS}",
        estimator="Label of the estimator that inverted it; null for a diagnostic of the model.",
    ),
    f"""SELECT t.cell_id, f.task_id, t.estimator, {_listed(SPECTRUM_COLUMNS, "f")}
    FROM {_labels("estimator")} t JOIN spectrum_facts f USING (task_id)""",
)
TRAJECTORIES = View(
    table(
        "trajectories",
        "One row per recorded step and test point of a retraining.",
        "cell_id procedure task_id removed replicate test_point step value train_loss",
        value="The loss of the test example at this step.",
    ),
    f"""SELECT t.cell_id, t.procedure, f.task_id, m.removed, t.replicate, f.test_point, f.step,
        f.value, f.train_loss
    FROM {_labels("procedure, replicate")} t
    JOIN trajectory_facts f USING (task_id)
    LEFT JOIN training_facts m USING (task_id)""",
)
PLANTED = View(
    table(
        "planted",
        "One row per training example that the dataset planted: another label, or a copy.",
        "cell_id train_point what original source_row",
    ),
    """SELECT DISTINCT t.cell_id, f.train_point, f.what, f.original, f.source_row
    FROM current_tasks t JOIN planted_facts f USING (task_id)""",
)
EXAMPLES = View(
    table(
        "examples",
        "One row per example of the first repeat that can be shown: chosen test examples, and the"
        " training examples with the highest and lowest scores and effects for each.",
        f"cell_id split point {EXAMPLE_COLUMNS}",
    ),
    f"""SELECT t.cell_id, f.split, f.point,
        {", ".join(f"max(f.{column}) AS {column}" for column in EXAMPLE_COLUMNS.split())}
    FROM {_labels("kind")} t JOIN example_facts f USING (task_id)
    GROUP BY t.cell_id, f.split, f.point""",
)

VIEWS = (
    CURRENT_PLANS,
    CURRENT_TASKS,
    CELLS,
    ARMS,
    TASKS,
    TRAININGS,
    POINTS,
    PLANTED,
    EXAMPLES,
    SCORES,
    EFFECTS,
    GROUPS,
    AGREEMENTS,
    SUMMARIES,
    DIAGNOSTICS,
    SPECTRA,
    TRAJECTORIES,
)
"""In the order of creation: each reads only tables and the views before it."""
