"""What the report asks about truths: effects and scores pair by pair, reliability, the ladder.

As in `report_queries`, each is complete SQL over the public views.
"""

from __future__ import annotations

from collections.abc import Sequence

from fragility.store.report_queries import Query, text, values

REMOVALS = Query(
    "removals",
    "Every effect of a removal in the unit of scores, that is, divided by `score_scale`; `removed`"
    " is the training point, or the group of them.",
    """\
SELECT cell_id, procedure, removal, test_point, coalesce(train_point, group_id) AS removed,
       replicate, effect / score_scale AS effect
FROM effects
WHERE removal <> 'placebo'
ORDER BY cell_id, procedure, removal, test_point, removed, replicate""",
)

PREDICTIONS = Query(
    "predictions",
    "The score of every pair of a removal and a test point that some procedure measured.",
    """\
WITH measured AS (
  SELECT DISTINCT cell_id, removal, test_point, train_point, group_id
  FROM effects
  WHERE removal <> 'placebo')
SELECT s.cell_id, s.estimator, m.removal, s.test_point,
       coalesce(s.train_point, s.group_id) AS removed, s.score
FROM scores s JOIN measured m ON s.cell_id = m.cell_id AND s.test_point = m.test_point
  AND s.train_point IS NOT DISTINCT FROM m.train_point
  AND s.group_id IS NOT DISTINCT FROM m.group_id
ORDER BY s.cell_id, s.estimator, m.removal, s.test_point, removed""",
)

EVIDENCE = Query(
    "evidence",
    "Pearson's correlation of scores with mean effects, as the verdict reads it: averaged over test"
    " points, then over the repeats of an arm.",
    """\
WITH measured AS (
  SELECT cell_id, procedure, removal, test_point, train_point, group_id,
         avg(effect / score_scale) AS effect, count(*) AS replicates
  FROM effects
  WHERE removal <> 'placebo'
  GROUP BY ALL),
agreement AS (
  SELECT m.cell_id, s.estimator, m.procedure, m.test_point, max(m.replicates) AS replicates,
         count(*) AS n, corr(s.score, m.effect) AS pearson
  FROM measured m JOIN scores s ON s.cell_id = m.cell_id AND s.test_point = m.test_point
    AND s.train_point IS NOT DISTINCT FROM m.train_point
    AND s.group_id IS NOT DISTINCT FROM m.group_id
  WHERE isfinite(s.score) AND isfinite(m.effect)
  GROUP BY ALL),
by_cell AS (
  SELECT cell_id, estimator, procedure, max(replicates) AS replicates, min(n) AS n,
         count(*) AS n_test, avg(pearson) AS pearson
  FROM agreement
  WHERE isfinite(pearson)
  GROUP BY ALL)
SELECT c.arm, b.estimator, b.procedure, a.truth, avg(b.pearson) AS pearson, count(*) AS repeats,
       min(b.n_test) AS n_test, min(b.n) AS n, max(b.replicates) AS replicates
FROM by_cell b JOIN cells c USING (cell_id) JOIN arms a USING (cell_id, estimator, procedure)
GROUP BY ALL
ORDER BY c.arm, b.estimator, b.procedure""",
)

RELIABILITY = Query(
    "reliability",
    "How much of what replicates measured they would measure again: ICC(C,1) of single replicates"
    " and that of their mean (McGraw and Wong 1996), from sums of squares at each test point.",
    """\
WITH single AS (
  SELECT cell_id, procedure, test_point, coalesce(train_point, group_id) AS removed, replicate,
         effect / score_scale AS effect
  FROM effects
  WHERE removal <> 'placebo'),
centred AS (
  SELECT *, avg(effect) OVER (PARTITION BY cell_id, procedure, test_point) AS grand,
         avg(effect) OVER (PARTITION BY cell_id, procedure, test_point, removed) AS of_point,
         avg(effect) OVER (PARTITION BY cell_id, procedure, test_point, replicate) AS of_replicate
  FROM single),
squares AS (
  SELECT cell_id, procedure, test_point, count(DISTINCT removed) AS points,
         count(DISTINCT replicate) AS replicates,
         sum((of_point - grand) ** 2) / (points - 1) AS between_points,
         sum((effect - of_point - of_replicate + grand) ** 2)
           / ((points - 1) * (replicates - 1)) AS residual
  FROM centred
  GROUP BY ALL
  HAVING points > 1 AND replicates > 1),
by_cell AS (
  SELECT cell_id, procedure, replicates,
         greatest(0, avg((between_points - residual)
                         / (between_points + (replicates - 1) * residual))) AS single
  FROM squares
  WHERE between_points > 0
  GROUP BY ALL)
SELECT c.arm, b.procedure, b.replicates, count(*) AS repeats, avg(b.single) AS single_replicate,
       b.replicates * avg(b.single) / (1 + (b.replicates - 1) * avg(b.single)) AS mean_of_all
FROM by_cell b JOIN cells c USING (cell_id)
GROUP BY c.arm, b.procedure, b.replicates
ORDER BY c.arm, b.procedure, b.replicates""",
)


def ladder(arm: str, estimator: str, rungs: Sequence[tuple[int, int, str, str]]) -> Query:
    """The numbers of one ladder, from rungs (place, place of the rung below, truth, procedure).

    Place 0 is the score.
    """
    return Query(
        "ladder",
        "Each truth beside the score and beside the rung below it, over the removals and the test"
        " points that all of them share: correlations are averaged over test points, squares and"
        " gaps over pairs, then all over repeats.",
        f"""\
WITH rungs(place, below, truth, procedure) AS (VALUES
{values(rungs)}),
here AS (SELECT cell_id FROM cells WHERE arm = {text(arm)}),
measured AS (
  SELECT e.cell_id, r.place, e.test_point, e.train_point, avg(e.effect / e.score_scale) AS value,
         count(*) AS n
  FROM effects e JOIN here USING (cell_id) JOIN rungs r USING (procedure)
  WHERE e.removal = 'point'
  GROUP BY ALL),
pairs AS (
  SELECT cell_id, 0 AS place, test_point, train_point, score AS value
  FROM scores JOIN here USING (cell_id)
  WHERE estimator = {text(estimator)} AND train_point IS NOT NULL
  UNION ALL
  SELECT cell_id, place, test_point, train_point,
         CASE WHEN n = max(n) OVER (PARTITION BY cell_id, place) THEN value END
  FROM measured),
everywhere AS (
  SELECT cell_id, test_point, train_point, bool_and(coalesce(isfinite(value), false)) AS known
  FROM pairs
  GROUP BY ALL
  HAVING count(*) = {len(rungs) + 1}),
shared AS (
  SELECT cell_id, test_point, train_point
  FROM everywhere
  QUALIFY bool_and(known) OVER (PARTITION BY cell_id, train_point)),
ranked AS (
  SELECT *, rank() OVER (PARTITION BY cell_id, place, test_point ORDER BY value)
            + (count(*) OVER (PARTITION BY cell_id, place, test_point, value) - 1) / 2 AS midrank
  FROM pairs JOIN shared USING (cell_id, test_point, train_point)),
by_test AS (
  SELECT r.place, t.cell_id, t.test_point, count(*) AS n,
         corr(s.value, t.value) AS score_pearson, corr(s.midrank, t.midrank) AS score_spearman,
         corr(b.value, t.value) AS below_pearson, corr(b.midrank, t.midrank) AS below_spearman,
         avg((t.value - b.value) ** 2) AS gap_square, avg(t.value - b.value) AS gap,
         avg(t.value ** 2) AS square
  FROM rungs r JOIN ranked t USING (place)
  JOIN ranked b ON b.place = r.below AND (b.cell_id, b.test_point, b.train_point)
    = (t.cell_id, t.test_point, t.train_point)
  JOIN ranked s ON s.place = 0 AND (s.cell_id, s.test_point, s.train_point)
    = (t.cell_id, t.test_point, t.train_point)
  GROUP BY ALL),
by_cell AS (
  SELECT place, cell_id, sum(n) AS n,
         avg(score_pearson) FILTER (isfinite(score_pearson)) AS score_pearson,
         avg(score_spearman) FILTER (isfinite(score_spearman)) AS score_spearman,
         avg(below_pearson) FILTER (isfinite(below_pearson)) AS below_pearson,
         avg(below_spearman) FILTER (isfinite(below_spearman)) AS below_spearman,
         avg(gap_square) AS gap_square, avg(gap) AS gap, avg(square) AS square
  FROM by_test
  GROUP BY ALL)
SELECT r.truth, r.procedure, count(*) AS repeats, sum(b.n)::BIGINT AS pairs,
       avg(b.score_pearson) AS score_pearson, avg(b.score_spearman) AS score_spearman,
       avg(b.below_pearson) AS below_pearson, avg(b.below_spearman) AS below_spearman,
       sqrt(avg(b.gap_square)) AS gap_rms, avg(b.gap) AS gap_mean, sqrt(avg(b.square)) AS effect_rms
FROM by_cell b JOIN rungs r USING (place)
GROUP BY r.place, r.truth, r.procedure
ORDER BY r.place""",
    )
