"""What the specification curve is drawn from: one row for every pair of score and effect."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.store.report_queries import Query, text, values

PAIRS = Query(
    "pair_counts",
    "How many pairs of a removal and a test point each procedure measured.",
    """\
SELECT c.arm, e.procedure, count(DISTINCT (e.cell_id, e.test_point, e.train_point, e.group_id))
         AS pairs
FROM effects e JOIN cells c USING (cell_id)
WHERE e.removal <> 'placebo'
GROUP BY ALL
ORDER BY ALL""",
)


def specification(shown: Sequence[tuple[str, str]], every: int) -> Query:
    """The pairs of some arms and estimators (arm, estimator), at one in `every` test points."""
    thin = "" if every == 1 else f", at one in {every} test points"
    place = "dense_rank() OVER (PARTITION BY e.cell_id, e.procedure ORDER BY e.test_point) - 1"
    kept = f"\nQUALIFY ({place}) % {every} = 0" if every > 1 else ""
    arms = ", ".join(sorted({text(arm) for arm, _ in shown}))
    return Query(
        "specification",
        f"Every pair of score and effect that the choices are made over{thin}: `effect` is the mean"
        " over replicates, in the unit of scores, and `single` the first alone, `loss` the base"
        " model's on the test example, `train_loss` what the point was chosen by where that was its"
        " loss.",
        f"""\
WITH shown(arm, estimator) AS (VALUES
{values(shown)}),
measured AS (
  SELECT c.arm, e.cell_id, e.procedure, e.removal, e.test_point, e.train_point, e.group_id,
         avg(e.effect / e.score_scale) AS effect,
         arg_min(e.effect / e.score_scale, e.replicate) AS single,
         count(*) AS replicates
  FROM effects e JOIN cells c USING (cell_id)
  WHERE e.removal <> 'placebo' AND c.arm IN ({arms})
  GROUP BY ALL),
chosen AS (
  SELECT cell_id, procedure, point AS train_point, max(probability) AS probability,
         max(value) FILTER (role = 'top_loss') AS train_loss
  FROM points
  WHERE split = 'train'
  GROUP BY ALL),
tested AS (
  SELECT cell_id, procedure, point AS test_point, min(loss) AS loss
  FROM points
  WHERE split = 'test'
  GROUP BY ALL)
SELECT e.arm, s.estimator, e.procedure, e.cell_id, a.truth, e.removal, e.test_point,
       coalesce(e.train_point, e.group_id) AS removed, s.score, e.effect, e.single, e.replicates,
       t.loss, p.train_loss, p.probability
FROM measured e JOIN scores s ON s.cell_id = e.cell_id AND s.test_point = e.test_point
  AND s.train_point IS NOT DISTINCT FROM e.train_point
  AND s.group_id IS NOT DISTINCT FROM e.group_id
JOIN shown h ON h.arm = e.arm AND h.estimator = s.estimator
JOIN arms a ON a.cell_id = e.cell_id AND a.estimator = s.estimator AND a.procedure = e.procedure
JOIN tested t ON t.cell_id = e.cell_id AND t.procedure = e.procedure
  AND t.test_point = e.test_point
LEFT JOIN chosen p ON p.cell_id = e.cell_id AND p.procedure = e.procedure
  AND p.train_point = e.train_point
WHERE isfinite(s.score) AND isfinite(e.effect) AND isfinite(t.loss){kept}
ORDER BY e.arm, s.estimator, e.procedure, e.cell_id, e.removal, e.test_point, removed""",
    )
