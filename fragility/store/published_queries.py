"""What is held against published numbers: one value a repeat."""

from __future__ import annotations

from fragility.store.report_queries import Query

CORRELATIONS = Query(
    "published_correlations",
    "Spearman's and Pearson's correlation of every repeat: the median over its test points, as"
    " `value` with their signs and as `size` without; null where none has a value.",
    """\
SELECT c.arm, a.estimator, a.procedure, a.metric, c.repeat, median(a.value) AS value,
       median(abs(a.value)) AS size, min(a.n) AS pairs, count(*) AS test_points
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.test_point IS NOT NULL AND a.weighting = 'raw' AND a.metric IN ('spearman', 'pearson')
GROUP BY ALL
ORDER BY ALL""",
)

EIGENVALUES = Query(
    "published_eigenvalues",
    "The extreme eigenvalues of every base model's Hessian, and the one that is larger in size.",
    """\
WITH ends AS (
  SELECT c.arm, c.repeat, c.cell_id,
         max(d.value) FILTER (d.name = 'hessian_top_eigenvalue') AS top,
         min(d.value) FILTER (d.name = 'hessian_bottom_eigenvalue') AS bottom
  FROM cells c JOIN diagnostics d USING (cell_id)
  WHERE d.name IN ('hessian_top_eigenvalue', 'hessian_bottom_eigenvalue')
    AND d.task_id IN (SELECT task_id FROM tasks WHERE estimator IS NULL)
  GROUP BY ALL)
SELECT arm, repeat, CASE WHEN abs(bottom) > abs(top) THEN bottom ELSE top END AS value, top, bottom
FROM ends
ORDER BY arm, repeat, cell_id""",
)

ACCURACIES = Query(
    "published_accuracies",
    "The share of training examples that each base model classifies correctly.",
    """\
SELECT c.arm, c.repeat, t.train_accuracy AS value
FROM trainings t JOIN cells c USING (cell_id)
WHERE t.role = 'base'
ORDER BY c.arm, c.repeat, c.cell_id""",
)

POINTS = Query(
    "published_points",
    "Every agreement by test point of every repeat, signed.",
    """\
SELECT c.arm, a.estimator, a.procedure, a.metric, c.repeat, a.test_point, a.value
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.test_point IS NOT NULL AND a.weighting = 'raw'
ORDER BY ALL""",
)
