"""What the report asks about noise: effects beside the placebo, and halves of the replicates.

As in `report_queries`, each is complete SQL over the public views.
"""

from __future__ import annotations

from collections.abc import Sequence

from fragility.store.report_queries import Query, values

CHANGES = Query(
    "changes",
    "Every change of a test point's measurable, by a removal or by the placebo that removes"
    " nothing, in the measurable's own unit.",
    """\
SELECT cell_id, procedure, removal = 'placebo' AS placebo, effect
FROM effects
WHERE isfinite(effect)
ORDER BY cell_id, procedure, placebo, test_point, train_point, group_id, replicate""",
)

SIZES = Query(
    "sizes",
    "How large effects are beside the placebo: medians of their size, over all repeats, removals,"
    " test points and replicates of an arm.",
    """\
SELECT c.arm, e.procedure,
       median(abs(e.effect)) FILTER (e.removal <> 'placebo') AS effect,
       median(abs(e.effect)) FILTER (e.removal = 'placebo') AS placebo,
       count(*) FILTER (e.removal <> 'placebo') AS effects,
       count(*) FILTER (e.removal = 'placebo') AS placebos,
       count(*) FILTER (e.removal = 'placebo' AND e.effect = 0) AS unmoved
FROM effects e JOIN cells c USING (cell_id)
WHERE isfinite(e.effect)
GROUP BY ALL
ORDER BY ALL""",
)


def halves(chosen: Sequence[tuple[str, str, int]]) -> Query:
    """Effects of chosen (cell, procedure, test point) by each half of the replicates."""
    return Query(
        "halves",
        "Each removal's effect, in the unit of scores, by the first half of the replicates and by"
        " the second; of an odd number the last is left out.",
        f"""\
WITH chosen(cell_id, procedure, test_point) AS (VALUES
{values(chosen)}),
counted AS (
  SELECT e.*, (1 + max(e.replicate) OVER (PARTITION BY e.cell_id, e.procedure)) // 2 AS half
  FROM effects e JOIN chosen USING (cell_id, procedure, test_point)
  WHERE e.removal <> 'placebo')
SELECT cell_id, procedure, test_point, coalesce(train_point, group_id) AS removed,
       avg(effect / score_scale) FILTER (replicate < half) AS first_half,
       avg(effect / score_scale) FILTER (replicate >= half AND replicate < 2 * half)
         AS second_half
FROM counted
GROUP BY ALL
ORDER BY cell_id, procedure, test_point, removed""",
    )


STRATA = Query(
    "strata",
    "Training points that were drawn within strata, with their probabilities: points of one"
    " probability are drawn again together.",
    """\
SELECT DISTINCT cell_id, procedure, point, probability
FROM points
WHERE split = 'train' AND role = 'stratified' AND probability > 0
ORDER BY cell_id, procedure, point""",
)
