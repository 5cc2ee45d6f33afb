"""What the report asks about curvature and stationarity.

As in `report_queries`, each is complete SQL over the public views.
"""

from __future__ import annotations

from collections.abc import Sequence

from fragility.store.report_queries import Query, text

MOVED = Query(
    "moved",
    "How far parameters moved: the median distance of retrainings from the base model, and of the"
    " placebo, which removes nothing.",
    """\
SELECT c.arm, t.procedure, median(t.distance) FILTER (t.role = 'retraining') AS retraining,
       median(t.distance) FILTER (t.role = 'placebo') AS placebo,
       count(*) FILTER (t.role = 'placebo') AS placebos
FROM trainings t JOIN cells c USING (cell_id)
WHERE t.role IN ('retraining', 'placebo')
GROUP BY c.arm, t.procedure
ORDER BY c.arm, t.procedure""",
)

DAMPINGS = Query(
    "dampings",
    "What each estimator added to which curvature matrix: medians over the repeats of an arm.",
    """\
SELECT c.arm, t.estimator, d.detail AS matrix, median(d.value) AS damping
FROM diagnostics d JOIN cells c USING (cell_id)
JOIN (SELECT DISTINCT task_id, cell_id, estimator FROM tasks) t USING (task_id, cell_id)
WHERE d.name = 'damping' AND t.estimator IS NOT NULL AND d.detail IS NOT NULL
GROUP BY ALL
ORDER BY ALL""",
)

EFFECTIVE = Query(
    "effective_dimension",
    "How many directions the damping of an estimator leaves standing: the sum over the eigenvalues"
    " of its matrix of lambda / (lambda + damping), negative ones counted as 0; medians over"
    " repeats.",
    """\
WITH damped AS (
  SELECT d.cell_id, t.estimator, d.detail AS matrix, median(d.value) AS damping
  FROM diagnostics d
  JOIN (SELECT DISTINCT task_id, cell_id, estimator FROM tasks) t USING (task_id, cell_id)
  WHERE d.name = 'damping' AND t.estimator IS NOT NULL
  GROUP BY ALL),
kept AS (SELECT cell_id, matrix, min(task_id) AS task_id FROM spectra GROUP BY ALL),
sums AS (
  SELECT s.cell_id, m.estimator, m.matrix, m.damping, sum(s.weight) AS parameters,
         sum(s.weight * greatest(s.eigenvalue, 0) / (greatest(s.eigenvalue, 0) + m.damping))
           FILTER (m.damping > 0) AS effective_dimension
  FROM damped m JOIN kept k USING (cell_id, matrix)
  JOIN (SELECT DISTINCT cell_id, task_id, matrix, place, eigenvalue, weight FROM spectra) s
    USING (cell_id, matrix, task_id)
  GROUP BY ALL)
SELECT c.arm, s.estimator, s.matrix, median(s.damping) AS damping,
       median(s.parameters) AS parameters, median(s.effective_dimension) AS effective_dimension
FROM sums s JOIN cells c USING (cell_id)
GROUP BY c.arm, s.estimator, s.matrix
ORDER BY ALL""",
)

KEPT = Query(
    "kept_spectra",
    "Which spectra were kept: of each arm and matrix the first repeat's, and how large it is.",
    """\
SELECT c.arm, s.matrix, arg_min(s.cell_id, (c.repeat, s.cell_id)) AS cell_id,
       count(DISTINCT s.cell_id) AS models
FROM (SELECT DISTINCT cell_id, matrix FROM spectra) s JOIN cells c USING (cell_id)
GROUP BY c.arm, s.matrix
ORDER BY c.arm, s.matrix""",
)


def spectra(chosen: Sequence[tuple[str, str]]) -> Query:
    """The eigenvalues of the chosen (cell, matrix)."""
    lines = ",\n".join(f"  ({text(cell)}, {text(matrix)})" for cell, matrix in chosen)
    return Query(
        "spectra",
        "Eigenvalues of a base model's curvature, or nodes of its quadrature; each stands for"
        " `weight` of them.",
        f"""\
WITH chosen(cell_id, matrix) AS (VALUES
{lines}),
kept AS (SELECT cell_id, matrix, min(task_id) AS task_id FROM spectra GROUP BY ALL)
SELECT DISTINCT s.cell_id, s.matrix, s.place, s.eigenvalue, s.weight
FROM spectra s JOIN chosen USING (cell_id, matrix) JOIN kept USING (cell_id, matrix, task_id)
ORDER BY s.cell_id, s.matrix, s.place""",
    )
