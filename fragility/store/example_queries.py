"""What the report asks about single examples: who helps and who harms the chosen test examples.

As in `report_queries`, each is complete SQL over the public views.
"""

from __future__ import annotations

from collections.abc import Sequence

from fragility.store.report_queries import Query, text

TOP = 8
"""Training examples shown at either end."""

TESTS = Query(
    "shown test examples",
    "Every test example that can be shown, with the base model's loss where a procedure measured.",
    """\
WITH losses AS (
  SELECT cell_id, point, max(loss) AS loss FROM points WHERE split = 'test' GROUP BY ALL)
SELECT c.arm, e.cell_id, e.point, e.label, e.prediction, l.loss
FROM examples e JOIN cells c USING (cell_id) LEFT JOIN losses l USING (cell_id, point)
WHERE e.split = 'test'
ORDER BY c.arm, l.loss DESC NULLS LAST, e.cell_id, e.point""",
)

REMOVED = Query(
    "removed one by one",
    "How many training examples each procedure removed one by one, how often, for every test"
    " example.",
    """\
SELECT cell_id, procedure, test_point, count(DISTINCT train_point) AS removed,
       count(DISTINCT replicate) AS replicates
FROM effects
WHERE removal = 'point'
GROUP BY ALL
ORDER BY ALL""",
)


def looks(cells: Sequence[str]) -> Query:
    """What the examples of some cells look like."""
    return Query(
        "looks",
        "What the examples of some cells look like.",
        f"""\
SELECT cell_id, split, point, source_row, file, label, target, prediction, features, picture
FROM examples
WHERE cell_id IN ({", ".join(map(text, cells))})
ORDER BY cell_id, split, point""",
    )


def extremes(cell: str, test_point: int, procedure: str, estimator: str) -> Query:
    """The training examples at either end, for one test example.

    `estimator` is the one whose scores stand beside the effects of `procedure`.
    """
    return Query(
        f"extremes {cell[:8]} {test_point}",
        f"The {TOP} training examples with the highest and the lowest score of each estimator, and"
        " with the highest and the lowest mean effect (`estimator` is null), for one test example;"
        " `place` is 1 for the first at its end. Their pictures are in `examples`.",
        f"""\
WITH replicated AS (
  SELECT train_point, replicate, avg(effect / score_scale) AS effect
  FROM effects
  WHERE cell_id = {text(cell)} AND test_point = {test_point} AND procedure = {text(procedure)}
    AND removal = 'point'
  GROUP BY ALL),
measured AS (
  SELECT train_point, avg(effect) AS effect, stddev_samp(effect) AS deviation,
         count(effect) AS replicates
  FROM replicated
  GROUP BY train_point),
placebo AS (
  SELECT avg(effect) AS effect, stddev_samp(effect) AS deviation, count(effect) AS replicates
  FROM effects
  WHERE cell_id = {text(cell)} AND test_point = {test_point} AND procedure = {text(procedure)}
    AND removal = 'placebo' AND measurable = 'loss'),
scored AS (
  SELECT estimator, train_point, score
  FROM scores
  WHERE cell_id = {text(cell)} AND test_point = {test_point} AND train_point IS NOT NULL
    AND isfinite(score)),
placed AS (
  SELECT estimator, train_point, score, score AS value FROM scored
  UNION ALL
  SELECT NULL, m.train_point, s.score, m.effect
  FROM measured m
  LEFT JOIN scored s ON m.train_point = s.train_point AND s.estimator = {text(estimator)}
  WHERE isfinite(m.effect)),
ends AS (
  SELECT *, row_number() OVER (PARTITION BY estimator ORDER BY value DESC, train_point)
           AS helpful,
         row_number() OVER (PARTITION BY estimator ORDER BY value, train_point) AS harmful
  FROM placed),
marks AS (
  SELECT train_point, max(original) FILTER (what = 'copy') AS copy_of,
         max(original) FILTER (what = 'flipped') AS was
  FROM planted WHERE cell_id = {text(cell)}
  GROUP BY train_point)
SELECT e.estimator, if(e.value > 0, 'helpful', 'harmful') AS side,
       if(e.value > 0, e.helpful, e.harmful) AS place, e.train_point, e.score,
       m.effect, m.deviation, m.replicates, k.copy_of, k.was
FROM ends e LEFT JOIN measured m USING (train_point) LEFT JOIN marks k USING (train_point)
WHERE e.value > 0 AND e.helpful <= {TOP} OR e.value < 0 AND e.harmful <= {TOP}
UNION ALL
SELECT NULL, 'placebo', 1, NULL, NULL, effect, deviation, replicates, NULL, NULL
FROM placebo WHERE replicates > 0
ORDER BY estimator NULLS LAST, side DESC, place""",
    )
