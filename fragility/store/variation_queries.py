"""What tests of factors, and the shares of variation, are made of."""

from __future__ import annotations

from fragility.store.report_queries import Query, swept, text

MEASURES = ("pearson", "spearman")
"""The correlations that factors are tested on and whose variation is shared out."""


def factor_points(factor: str, metric: str) -> Query:
    """One metric at every test point of every cell, beside the value of one swept factor."""
    return Query(
        "factor_points",
        f"The {metric} of every cell at every test point, beside the swept value; `test` is the row"
        " of the source where it is known, so that repeats with other splits share what they can.",
        f"""\
WITH tests AS (
  SELECT cell_id, procedure, point AS test_point, min(source_row) AS source_row
  FROM points
  WHERE split = 'test'
  GROUP BY ALL)
SELECT {swept(factor)} AS factor_value, c.arm, c.dataset, c.model, c.regularization,
       c.training, c.factors, a.estimator, a.procedure, c.repeat,
       coalesce(t.source_row, a.test_point) AS test, a.value
FROM agreements a JOIN cells c USING (cell_id)
LEFT JOIN tests t USING (cell_id, procedure, test_point)
WHERE a.metric = {text(metric)} AND a.test_point IS NOT NULL AND a.value IS NOT NULL
  AND a.weighting = 'raw'
ORDER BY ALL""",
    )


VARIATION = Query(
    "variation",
    "Median correlation over test points of every cell, estimator and procedure, with every choice"
    " behind it; `value` is null where it is not defined.",
    f"""\
SELECT s.metric, c.arm, s.procedure, s.estimator, c.dataset, c.model, c.regularization, c.training,
       c.factors, c.repeat, s.value
FROM summaries s JOIN cells c USING (cell_id)
WHERE s.aggregation = 'median' AND s.weighting = 'raw'
  AND s.metric IN ({", ".join(text(measure) for measure in MEASURES)})
ORDER BY ALL""",
)
