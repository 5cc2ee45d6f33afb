"""What the report asks about the controls; see `studies/controls/`.

As in `report_queries`, each is complete SQL over the public views. All but the first are asked of
the run of a part of the controls: `fragility query --run controls-convex`.
"""

from __future__ import annotations

from fragility.store.report_queries import Query
from fragility.store.runs import CONTROLS

NEWEST = Query(
    "newest_controls",
    "The newest run of each part of the controls in this store.",
    f"""\
SELECT run_id, study, started, status
FROM runs
WHERE study_path IN {CONTROLS} AND overrides = '[]'
QUALIFY row_number() OVER (PARTITION BY study_path ORDER BY started DESC, run_id DESC) = 1
ORDER BY study""",
)

AGREED = Query(
    "controls_agreement",
    "Pearson's correlation of scores with effects: the median over test points, with its interval"
    " over removed points.",
    """\
SELECT c.dataset, s.estimator, s.procedure, s.value, s.ci_low, s.ci_high, s.n_test, s.n
FROM summaries s JOIN cells c USING (cell_id)
WHERE s.metric = 'pearson' AND s.aggregation = 'median' AND s.weighting = 'raw'
ORDER BY ALL""",
)

BY_TEST_POINT = Query(
    "controls_by_test_point",
    "The same at every test point.",
    """\
SELECT c.dataset, a.estimator, a.procedure, a.test_point, a.value, a.n
FROM agreements a JOIN cells c USING (cell_id)
WHERE a.metric = 'pearson' AND a.test_point IS NOT NULL AND a.weighting = 'raw'
ORDER BY ALL""",
)

PAIRS = Query(
    "controls_pairs",
    "Exact scores beside the effects of removal, and each test point's loss before it.",
    """\
SELECT c.dataset, e.procedure, e.test_point, e.train_point, s.score, e.effect,
       e.before AS loss
FROM effects e JOIN cells c USING (cell_id)
JOIN scores s USING (cell_id, test_point, train_point)
WHERE e.removal = 'point' AND s.estimator = 'exact'
ORDER BY ALL""",
)

SIZES = Query(
    "controls_sizes",
    "How many parameters the models have.",
    "SELECT dataset, model, parameters, n_train, n_test FROM cells ORDER BY ALL",
)

PLANTED = Query(
    "controls_planted",
    "The training examples that were planted.",
    """\
SELECT c.dataset, p.what, p.train_point, p.original, p.source_row
FROM planted p JOIN cells c USING (cell_id)
ORDER BY ALL""",
)

REPLICATES = Query(
    "controls_replicates",
    "What each replicate measured of the same removals.",
    """\
SELECT c.dataset, e.procedure, e.replicate, e.test_point, e.train_point, e.effect
FROM effects e JOIN cells c USING (cell_id)
WHERE e.removal = 'point'
ORDER BY ALL""",
)
