"""Every question the report asks of the store, as SQL that `fragility query` answers too.

A query is complete text without parameters, so that what the page prints is what was asked.
Each refers to the public views only; the connection decides which run they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PREFERRED_METRICS = (
    "pearson",
    "spearman",
    "kendall",
    "within_sign",
    "sign_agreement",
    "cosine",
    "top_k_precision",
    "|pearson|",
    "|spearman|",
    "|kendall|",
)


@dataclass(frozen=True)
class Query:
    """A named question: one sentence of documentation and the SQL."""

    name: str
    doc: str
    sql: str


def text(value: str) -> str:
    """Returns a string as a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def run(run_id: str) -> Query:
    """The run itself."""
    return Query(
        "run", "The run of this report.", f"SELECT * FROM runs WHERE run_id = {text(run_id)}"
    )


CELLS = Query(
    "cells",
    "Every cell with its arm, its swept factors and its sizes.",
    """\
SELECT cell_id, arm, dataset, model, regularization, training, repeat, seed, factors,
       n_train, n_test, parameters
FROM cells
ORDER BY arm, repeat, cell_id""",
)

DEPARTURES = Query(
    "departures",
    "What training does beside descending the objective that influence is taken for.",
    """\
SELECT DISTINCT regularization, departure FROM cells WHERE departure IS NOT NULL ORDER BY ALL""",
)

TARGETS = Query(
    "targets",
    "Which parameters the score covers, what is taken for true, and which parameters that moves.",
    """\
SELECT DISTINCT c.arm, a.estimator, a.procedure, a.truth,
       a.score_parameters, a.truth_parameters, a.mismatch
FROM arms a JOIN cells c USING (cell_id)
ORDER BY ALL""",
)


def _medians(weighting: str) -> str:
    return f"""\
WITH limits AS (
  SELECT c.arm, a.estimator, a.procedure, a.metric, median(a.chance) AS chance,
         median(a.ceiling) AS ceiling
  FROM agreements a JOIN cells c USING (cell_id)
  WHERE a.test_point IS NOT NULL AND a.weighting = {text(weighting)}
  GROUP BY ALL)
SELECT c.arm, s.estimator, s.procedure, s.metric,
       avg(s.value) AS value,
       CASE WHEN count(s.value) = 1 THEN max(s.ci_low) END AS ci_low,
       CASE WHEN count(s.value) = 1 THEN max(s.ci_high) END AS ci_high,
       stddev_samp(s.value) AS deviation,
       count(s.value) AS defined, count(*) AS repeats,
       max(k.chance) AS chance, max(k.ceiling) AS ceiling,
       min(s.n_test) AS n_test, min(s.n) AS n,
       max(s.share_undefined) AS share_undefined, max(s.reason) AS reason
FROM summaries s JOIN cells c USING (cell_id)
LEFT JOIN limits k USING (arm, estimator, procedure, metric)
WHERE s.aggregation = 'median' AND s.weighting = {text(weighting)}
GROUP BY c.arm, s.estimator, s.procedure, s.metric
ORDER BY c.arm, s.estimator, s.procedure, s.metric"""


AGREEMENT = Query(
    "agreement",
    "The median over test points of each metric, averaged over the repeats of an arm; `ci_low` and"
    " `ci_high` are the bootstrap interval of a single repeat, `deviation` the standard deviation"
    " over repeats when there are several.",
    _medians("raw"),
)

POPULATION = Query(
    "population",
    "The same where points were drawn with unequal probabilities and each weighs the inverse of its"
    " own: an estimate for the population of all points.",
    _medians("population"),
)

UNDEFINED = Query(
    "undefined",
    "Agreements without a value, by reason.",
    """\
SELECT c.arm, a.estimator, a.procedure, a.metric, a.reason, count(*) AS agreements
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.value IS NULL AND a.weighting = 'raw'
GROUP BY ALL
ORDER BY agreements DESC, c.arm, a.estimator, a.procedure, a.metric, a.reason""",
)


def representatives(metric: str) -> Query:
    """The worst, the median and the best (cell, test point) of every arm by one metric."""
    return Query(
        "representatives",
        f"The worst, median and best test point of every arm by {metric}.",
        f"""\
SELECT c.arm, a.estimator, a.procedure, a.cell_id, c.repeat, a.test_point, a.value, a.n,
       count(*) OVER arm AS candidates,
       row_number() OVER ordered AS position
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.metric = {text(metric)} AND a.test_point IS NOT NULL AND a.value IS NOT NULL
  AND a.weighting = 'raw'
WINDOW arm AS (PARTITION BY c.arm, a.estimator, a.procedure),
       ordered AS (arm ORDER BY a.value, a.cell_id, a.test_point)
QUALIFY position IN (1, (candidates + 1) // 2, candidates)
ORDER BY c.arm, a.estimator, a.procedure, position""",
    )


def pairs(chosen: Sequence[tuple[str, str, str, int]]) -> Query:
    """Scores beside effects of the chosen (cell, estimator, procedure, test point)."""
    return Query(
        "pairs",
        "Score and mean effect over replicates of every removed training point or group; both are"
        " null for the placebo, a retraining with nothing removed.",
        f"""\
WITH chosen(cell_id, estimator, procedure, test_point) AS (VALUES
{values(chosen)}),
measured AS (
  SELECT cell_id, procedure, removal, test_point, train_point, group_id, avg(effect) AS effect,
         min(effect) AS lowest, max(effect) AS highest, count(*) AS replicates,
         min(score_scale) AS scale
  FROM effects
  WHERE (cell_id, procedure, test_point) IN (SELECT (cell_id, procedure, test_point) FROM chosen)
  GROUP BY ALL)
SELECT h.cell_id, h.estimator, h.procedure, h.test_point, m.removal, m.train_point, m.group_id,
       g.members, p.source_row, s.score * m.scale AS score, m.effect, m.lowest, m.highest,
       m.replicates
FROM chosen h JOIN measured m USING (cell_id, procedure, test_point)
LEFT JOIN scores s ON s.cell_id = h.cell_id AND s.estimator = h.estimator
  AND s.test_point = h.test_point
  AND (s.train_point = m.train_point OR s.group_id = m.group_id)
LEFT JOIN (SELECT cell_id, procedure, group_id, count(DISTINCT train_point) AS members
           FROM groups GROUP BY ALL) g
  ON g.cell_id = h.cell_id AND g.procedure = h.procedure AND g.group_id = m.group_id
LEFT JOIN (SELECT cell_id, procedure, point, min(source_row) AS source_row
           FROM points WHERE split = 'train' GROUP BY ALL) p
  ON p.cell_id = h.cell_id AND p.procedure = h.procedure AND p.point = m.train_point
ORDER BY h.cell_id, h.estimator, h.procedure, h.test_point, m.effect DESC, m.train_point,
         m.group_id""",
    )


def values(rows: Sequence[tuple[object, ...]]) -> str:
    """Returns rows as the lines of a SQL `VALUES` list."""
    lines = (
        ", ".join(text(item) if isinstance(item, str) else str(item) for item in row)
        for row in rows
    )
    return ",\n".join(f"  ({line})" for line in lines)


def factor_agreement(factor: str, metric: str) -> Query:
    """One metric of every cell beside the value of one swept factor."""
    return Query(
        "factor_agreement",
        f"Median {metric} over test points of every cell, beside the swept value.",
        f"""\
SELECT {swept(factor)} AS factor_value, c.arm, c.dataset, c.model, c.regularization, c.training,
       c.factors, s.estimator, s.procedure, c.repeat, s.value
FROM summaries s JOIN cells c USING (cell_id)
WHERE s.metric = {text(metric)} AND s.aggregation = 'median' AND s.value IS NOT NULL
  AND s.weighting = 'raw'
ORDER BY ALL""",
    )


def factor_diagnostic(factor: str, name: str) -> Query:
    """One diagnostic of every cell beside the value of one swept factor."""
    return Query(
        "factor_diagnostic",
        f"The diagnostic {name} of every cell, beside the swept value.",
        f"""\
SELECT {swept(factor)} AS factor_value, c.arm, c.dataset, c.model, c.regularization, c.training,
       c.factors, NULL AS estimator, NULL AS procedure, c.repeat, avg(d.value) AS value
FROM diagnostics d JOIN cells c USING (cell_id)
WHERE d.name = {text(name)} AND d.value IS NOT NULL
GROUP BY ALL
ORDER BY ALL""",
    )


def swept(factor: str) -> str:
    """Returns the SQL that gives a swept factor's value of a cell `c` as text."""
    path = '$."' + factor.replace('"', '\\"') + '"'
    return f"c.factors::JSON ->> {text(path)}"


RECORDED = Query(
    "recorded",
    "Which cells, procedures and test points have trajectories.",
    """\
SELECT c.arm, t.procedure, t.cell_id, t.test_point, count(DISTINCT t.task_id) AS retrainings,
       max(t.step) AS steps
FROM trajectories t JOIN cells c USING (cell_id)
GROUP BY ALL
ORDER BY ALL""",
)


def trajectories(chosen: Sequence[tuple[str, str, int]]) -> Query:
    """The measurable of chosen (cell, procedure, test point) along every retraining."""
    return Query(
        "trajectories",
        "The test point's measurable along each retraining; `removed` is null for the placebo.",
        f"""\
WITH chosen(cell_id, procedure, test_point) AS (VALUES
{values(chosen)})
SELECT t.cell_id, t.procedure, t.test_point, t.removed, t.replicate, t.step, t.value
FROM trajectories t JOIN chosen USING (cell_id, procedure, test_point)
ORDER BY t.cell_id, t.procedure, t.test_point, t.removed NULLS FIRST, t.replicate, t.step""",
    )


BASE_MODELS = Query(
    "base_models",
    "Base models by arm: medians over repeats, and how many reached their stopping rule.",
    """\
SELECT c.arm, count(*) AS models, count(*) FILTER (t.converged) AS converged,
       count(t.converged) AS judged, count(*) FILTER (t.diverged) AS diverged,
       median(t.steps) AS steps,
       median(t.grad_norm) AS grad_norm, min(t.grad_norm) AS grad_norm_min,
       max(t.grad_norm) AS grad_norm_max,
       median(t.train_loss) AS train_loss, median(t.test_loss) AS test_loss,
       median(t.train_accuracy) AS train_accuracy, median(t.test_accuracy) AS test_accuracy,
       median(c.parameters) AS parameters, median(c.n_train) AS n_train
FROM trainings t JOIN cells c USING (cell_id)
WHERE t.role = 'base'
GROUP BY c.arm
ORDER BY c.arm""",
)

RETRAININGS = Query(
    "retrainings",
    "Retrainings (placebos included) by arm and procedure: stopping, steps and gradient norms.",
    """\
SELECT c.arm, t.procedure, count(*) AS retrainings,
       count(*) FILTER (t.converged) AS converged, count(t.converged) AS judged,
       count(*) FILTER (t.diverged) AS diverged,
       median(t.steps) AS steps, max(t.steps) AS steps_max,
       min(t.grad_norm) AS lowest, quantile_cont(t.grad_norm, 0.25) AS lower_quartile,
       median(t.grad_norm) AS grad_norm,
       quantile_cont(t.grad_norm, 0.75) AS upper_quartile, max(t.grad_norm) AS highest
FROM trainings t JOIN cells c USING (cell_id)
WHERE t.role IN ('retraining', 'placebo')
GROUP BY c.arm, t.procedure
ORDER BY c.arm, t.procedure""",
)

PLACEBO = Query(
    "placebo",
    "How large effects are: the median size of a measured effect and of the placebo's.",
    """\
SELECT c.arm, e.procedure,
       median(abs(e.effect)) FILTER (e.removal = 'point') AS effect,
       median(abs(e.effect)) FILTER (e.removal = 'placebo') AS placebo,
       count(*) FILTER (e.removal = 'placebo') AS placebos,
       count(DISTINCT e.replicate) FILTER (e.removal = 'point') AS replicates
FROM effects e JOIN cells c USING (cell_id)
GROUP BY ALL
ORDER BY ALL""",
)

DIAGNOSTICS = Query(
    "diagnostics",
    "Diagnostics by arm: median, range, and number of values over repeats; `estimator` is null for"
    " what was measured on the base model itself.",
    """\
SELECT c.arm, t.estimator, d.name, median(d.value) AS value, min(d.value) AS lowest,
       max(d.value) AS highest, count(d.value) AS defined, max(d.detail) AS detail
FROM diagnostics d JOIN cells c USING (cell_id)
LEFT JOIN (SELECT task_id, min(estimator) AS estimator FROM tasks GROUP BY task_id) t
  USING (task_id)
GROUP BY c.arm, t.estimator, d.name
ORDER BY c.arm, t.estimator NULLS FIRST, d.name""",
)

FAILURES = Query(
    "failures",
    "Failed and skipped tasks, grouped by what they were and why.",
    """\
SELECT t.status, t.kind, c.arm, t.estimator, t.procedure,
       coalesce(t.message, 'no reason recorded') AS reason,
       count(DISTINCT t.task_id) AS tasks, min(t.task_id) AS example
FROM tasks t LEFT JOIN cells c USING (cell_id)
WHERE t.status IN ('failed', 'skipped')
GROUP BY ALL
ORDER BY t.status, tasks DESC, example""",
)

TASKS = Query(
    "tasks",
    "Tasks by kind and status, with the seconds they took.",
    """\
SELECT kind, status, count(*) AS tasks, sum(seconds) AS seconds
FROM (SELECT DISTINCT task_id, kind, status, seconds FROM tasks)
GROUP BY kind, status
ORDER BY kind, status""",
)
