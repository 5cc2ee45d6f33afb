"""What the report asks about removals of the top, changed weights and planted labels."""

from __future__ import annotations

from fragility.store.report_queries import Query

TAILS = Query(
    "tails",
    "The mean effect, over test points and replicates, of removing the top by each rule, and half"
    " the width of its 95 % interval: over repeats, and over the draws of a random rule. `size` is"
    " a share of the training set.",
    """\
WITH named AS (
  SELECT cell_id, procedure, group_id, rule, count(*) AS members
  FROM groups
  GROUP BY ALL),
effect AS (
  SELECT e.cell_id, e.procedure, g.rule, g.members, e.group_id, avg(e.effect) AS effect
  FROM effects e JOIN named g USING (cell_id, procedure, group_id)
  JOIN (SELECT DISTINCT cell_id, procedure FROM arms WHERE truth = 'remove_top') a
    USING (cell_id, procedure)
  WHERE isfinite(e.effect)
  GROUP BY ALL)
SELECT c.arm, f.procedure, f.rule, f.members / c.n_train AS size, f.members,
       avg(f.effect) AS effect, count(*) AS groups, count(DISTINCT f.cell_id) AS repeats,
       stddev_samp(f.effect) AS deviation
FROM effect f JOIN cells c USING (cell_id)
GROUP BY ALL
ORDER BY c.arm, f.procedure, f.rule, f.members""",
)

DOSES = Query(
    "doses",
    "What linearization leaves at every dose: `left` is the root mean square of the effect per unit"
    " of weight minus the score, as a share of that of the effects; correlations are averaged over"
    " test points, then all over repeats.",
    """\
WITH measured AS (
  SELECT e.cell_id, e.procedure, e.test_point, e.train_point,
         avg(e.effect / e.score_scale) AS effect
  FROM effects e JOIN (SELECT DISTINCT cell_id, procedure FROM arms WHERE truth = 'upweight') a
    USING (cell_id, procedure)
  WHERE e.removal = 'point'
  GROUP BY ALL),
by_test AS (
  SELECT m.cell_id, s.estimator, m.procedure, m.test_point, corr(s.score, m.effect) AS pearson,
         regr_slope(m.effect, s.score) AS slope, avg((m.effect - s.score) ** 2) AS gap,
         avg(m.effect ** 2) AS square, count(*) AS n
  FROM measured m JOIN scores s USING (cell_id, test_point, train_point)
  WHERE isfinite(m.effect) AND isfinite(s.score)
  GROUP BY ALL),
by_cell AS (
  SELECT cell_id, estimator, procedure, avg(pearson) FILTER (isfinite(pearson)) AS pearson,
         median(slope) AS slope, sqrt(avg(gap) / nullif(avg(square), 0)) AS remaining, sum(n) AS n
  FROM by_test
  GROUP BY ALL),
dose AS (
  SELECT DISTINCT cell_id, procedure, measurable,
         CASE WHEN measurable = 'loss' THEN score_scale END AS weight
  FROM effects
  WHERE removal = 'point')
SELECT c.arm, b.estimator, b.procedure, d.measurable, max(d.weight) AS weight_taken,
       avg(b.pearson) AS pearson, avg(b.slope) AS slope, avg(b.remaining) AS left_over,
       count(*) AS repeats, sum(b.n)::BIGINT AS pairs
FROM by_cell b JOIN cells c USING (cell_id) JOIN dose d USING (cell_id, procedure)
GROUP BY ALL
ORDER BY c.arm, b.estimator, b.procedure""",
)

FOUND = Query(
    "found",
    "How well scores find planted labels: the area under the ROC curve, averaged over the repeats"
    " of an arm; the interval is that of a single repeat, where there is one.",
    """\
SELECT c.arm, a.estimator, a.procedure, avg(a.value) AS value, max(a.chance) AS chance,
       CASE WHEN count(a.value) = 1 THEN max(a.ci_low) END AS ci_low,
       CASE WHEN count(a.value) = 1 THEN max(a.ci_high) END AS ci_high,
       stddev_samp(a.value) AS deviation, count(a.value) AS repeats, max(a.reason) AS reason
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.metric = 'auc'
GROUP BY ALL
ORDER BY c.arm, a.procedure, a.estimator""",
)
