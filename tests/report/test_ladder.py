"""The ladder of truths: its numbers against NumPy's and SciPy's on the raw rows, and its words."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fragility.report import ladder as climbing
from fragility.report.averages import Sample, agreement, noise, noise_ceiling, root_mean_square
from fragility.report.context import Context
from fragility.report.ladder import build
from fragility.report.page import page
from fragility.report.rungs import SCORE, TRUTHS, declared, isolates
from fragility.report.sections import ladder as section
from fragility.report.source import Source
from fragility.store import queries
from fragility.store import truth_queries as ask
from tests import tiny
from tests.report import truths, world
from tests.report.test_page import assert_sound, printed_queries
from tests.report.truths import Truth, draws, measured, replicated, steps

NAMES = [truth.name for truth in TRUTHS if truth.name != "warm over orders"]
SHAPE = (3, 4, 12)
SCORES = draws(5, SHAPE)


def whole() -> dict[str, Truth]:
    """Six rungs, the last with replicates."""
    found = steps(SCORES, dict(zip(NAMES[:5], (0.01, 0.2, 0.3, 0.9, 0.2), strict=True)))
    last = found["cold"].effects[:, 0] + 0.3 * draws(77, SHAPE)
    return {**found, "seeds": Truth("cold over seeds", replicated(last, 4, 0.5))}


def values(declared_truths: dict[str, Truth], names: list[str]) -> list[np.ndarray]:
    """The score, then every truth's mean over replicates: (repeats, tests, removals) each."""
    return [SCORES, *(declared_truths[name].effects.mean(axis=1) for name in names)]


def mean_of(function: object, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([[function(a, b) for a, b in zip(*pair, strict=True)]
                          for pair in zip(x, y, strict=True)]))  # fmt: skip


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.spearmanr(a, b).statistic)


def test_the_numbers_are_numpys_on_the_raw_rows() -> None:
    rungs = whole()
    found = build(truths.context(measured(SCORES, rungs)), "mlp", "exact")
    names = ["linear_response", "pbrf", "proximal", "warm", "cold", "seeds"]
    assert [step.rung.procedure for step in found.chain] == names
    raw = values(rungs, names)
    for step, (below, here) in zip(found.chain, pairwise(raw), strict=True):
        for kind, function in (("pearson", pearson), ("spearman", spearman)):
            score, under = step.with_score[kind].value, step.with_below[kind].value
            assert score == pytest.approx(mean_of(function, SCORES, here))
            assert under == pytest.approx(mean_of(function, below, here))
        assert step.gap.value == pytest.approx(np.sqrt(np.mean((here - below) ** 2)))
        assert step.gap_mean == pytest.approx(np.mean(here - below))
        assert step.effect == pytest.approx(np.sqrt(np.mean(here**2)))
    assert (found.repeats, found.tests, found.removed, found.pairs) == (3, 4, 12, 144)


def test_the_printed_query_gives_the_same_numbers() -> None:
    context = truths.context(measured(SCORES, whole()))
    found = build(context, "mlp", "exact")
    rows = context.source.ask(ask.ladder("mlp", "exact", found.places))
    for step, row in zip(found.chain, rows, strict=True):
        assert row["procedure"] == step.rung.procedure
        for kind in ("pearson", "spearman"):
            assert row[f"score_{kind}"] == pytest.approx(step.with_score[kind].value)
            assert row[f"below_{kind}"] == pytest.approx(step.with_below[kind].value)
        expected = (step.gap.value, step.gap_mean, step.effect)
        assert (row["gap_rms"], row["gap_mean"], row["effect_rms"]) == pytest.approx(expected)
        assert (row["repeats"], row["pairs"]) == (3, 144)


def test_mean_differences_sum_to_the_total() -> None:
    rungs = whole()
    found = build(truths.context(measured(SCORES, rungs)), "mlp", "exact")
    last = rungs["seeds"].effects.mean(axis=1)
    total = sum(step.gap_mean for step in found.chain)
    assert total == pytest.approx(float(np.mean(last - SCORES)), abs=1e-14)
    assert found.total_mean == pytest.approx(total, abs=1e-14)


def test_only_what_all_rungs_share_counts() -> None:
    rungs = steps(SCORES, {"linear_response": 0.1, "warm": 0.5})
    some = np.array([1, 3, 4, 6, 7, 9])
    broken = rungs["warm"].effects[..., some].copy()
    broken[1, 0, 2, 3] = np.nan
    rungs["warm"] = Truth("warm", broken, removed=some)
    context = truths.context(measured(SCORES, rungs))
    found = build(context, "mlp", "exact")
    assert (found.removed, found.pairs) == (5, 2 * 4 * 6 + 4 * 5)
    each = []
    for repeat in range(3):
        kept = some[[0, 1, 2, 4, 5]] if repeat == 1 else some
        linear = rungs["linear_response"].effects[repeat, 0][:, kept]
        warm = steps(SCORES, {"linear_response": 0.1, "warm": 0.5})["warm"].effects[repeat, 0]
        each.append(np.mean([pearson(a, b) for a, b in zip(linear, warm[:, kept], strict=True)]))
    assert found.chain[1].with_below["pearson"].value == pytest.approx(np.mean(each))
    rows = context.source.ask(ask.ladder("mlp", "exact", found.places))
    assert rows[1]["below_pearson"] == pytest.approx(np.mean(each))
    assert rows[1]["pairs"] == found.pairs


def test_nothing_shared_has_no_numbers_and_says_so() -> None:
    rungs = steps(SCORES, {"linear_response": 0.1, "warm": 0.5})
    rungs["warm"] = Truth("warm", rungs["warm"].effects[..., :3], removed=np.arange(3))
    context = truths.context(measured(SCORES, rungs))
    assert build(context, "mlp", "exact").reason == (
        "no repeat has 4 removals that the score and every rung share"
    )
    data = section.section(context).data
    assert data["ladders"] == []
    assert data["without"][0].startswith("mlp: no repeat has 4 removals")


def test_a_step_over_missing_rungs_isolates_all_between() -> None:
    by_name = {truth.name: truth for truth in TRUTHS}
    assert isolates(SCORE, by_name["linear_response"]) == "solver error"
    assert isolates(by_name["warm"], by_name["cold"]) == "warm start"
    assert isolates(by_name["proximal"], by_name["warm over orders"]) == (
        "proximity and example order"
    )
    assert isolates(by_name["linear_response"], by_name["cold"]) == (
        "linearization, non-convergence, proximity and warm start"
    )
    assert isolates(SCORE, by_name["pbrf"]) == "solver error and linearization"


def test_the_legend_explains_every_step_of_the_study() -> None:
    rungs = steps(SCORES, {"linear_response": 0.1, "cold": 0.5})
    solver, rest = section.section(truths.context(measured(SCORES, rungs))).data["steps"]
    assert solver[:2] == ("solver error", "from score to linear response")
    assert rest[:2] == ("linearization, non-convergence, proximity and warm start",
                        "from linear response to cold retraining")  # fmt: skip
    assert rest[2].count("; ") == 3


def test_rungs_stand_in_order_whatever_the_study_calls_them() -> None:
    rungs = {
        "a": Truth("cold", draws(1, SHAPE)[:, None]),
        "b": Truth("linear_response", draws(2, SHAPE)[:, None]),
        "c": Truth("frozen", draws(3, SHAPE)[:, None]),
        "d": Truth("pbrf", draws(4, SHAPE)[:, None]),
        "e": Truth("leave_group_out", draws(5, SHAPE)[:, None], group=True),
        "z": Truth("cold", draws(6, SHAPE)[:, None]),
    }
    found = declared(truths.context(measured(SCORES, rungs)), "mlp", "exact")
    assert [rung.procedure for rung in found.chain] == ["b", "d", "a"]
    assert [rung.procedure for rung in found.beside] == ["c"]
    assert found.notes == ("Of the procedures a and z, which all are cold truths, a stands on the"
                           " ladder.",)  # fmt: skip


def test_truths_of_other_parameters_stand_on_no_ladder_and_are_named() -> None:
    badge = "target mismatch: score last_layer, truth all"
    rungs = {
        "linear": Truth("linear_response", draws(1, SHAPE)[:, None], parameters="last_layer"),
        "frozen": Truth("frozen", draws(2, SHAPE)[:, None], parameters="last_layer"),
        "warm": Truth("warm", draws(3, SHAPE)[:, None], mismatch=badge),
    }
    context = truths.context(measured(SCORES, rungs, parameters="last_layer"))
    found = build(context, "mlp", "exact")
    assert [step.rung.procedure for step in found.chain] == ["linear"]
    assert [step.rung.procedure for step in found.beside] == ["frozen"]
    notes = section.section(context).data["ladders"][0]["chart"].notes
    assert f"Not on this ladder: warm ({badge})." in notes
    alone = truths.context(
        measured(SCORES, {k: rungs[k] for k in ("frozen", "warm")}, parameters="last_layer")
    )
    assert "1 truth" in section.section(alone).data["without"][0]
    assert badge in section.section(alone).data["without"][0]


def test_a_score_without_parameters_takes_the_ladder_of_retraining() -> None:
    rungs = {
        "frozen": Truth("frozen", draws(2, SHAPE)[:, None], parameters="last_layer"),
        "pbrf": Truth("pbrf", draws(1, SHAPE)[:, None]),
        "warm": Truth("warm", draws(3, SHAPE)[:, None]),
    }
    found = declared(truths.context(measured(SCORES, rungs, parameters=None)), "mlp", "exact")
    assert [rung.procedure for rung in found.every] == ["pbrf", "warm"]
    assert [c.procedure for c in found.mismatched] == ["frozen"]


def test_one_truth_says_what_to_declare() -> None:
    context = truths.context(measured(SCORES, steps(SCORES, {"warm": 0.3})))
    data = section.section(context).data
    assert data["nothing"].startswith("This study measures 1 truth (warm), and no score has two")
    assert "kind: linear_response" in data["example"]


@pytest.mark.parametrize(
    ("sizes", "isolated"),
    [
        ((3.0, 0.1, 0.1, 0.1, 0.1), "solver error"),
        ((0.01, 3.0, 0.1, 0.1, 0.1), "linearization"),
        ((0.01, 0.1, 3.0, 0.1, 0.1), "non-convergence"),
        ((0.01, 0.1, 0.1, 3.0, 0.1), "proximity"),
        ((0.01, 0.1, 0.1, 0.1, 3.0), "warm start"),
    ],
)
def test_the_largest_loss_is_where_it_was_planted(sizes: tuple[float, ...], isolated: str) -> None:
    rungs = steps(SCORES, dict(zip(NAMES[:5], sizes, strict=True)))
    context = truths.context(measured(SCORES, rungs))
    worst = climbing.weakest(build(context, "mlp", "exact"))
    assert worst is not None
    assert worst.isolates == isolated
    data = section.section(context).data
    assert (
        f"The largest loss of agreement in this study is due to {isolated}: in mlp" in data["lead"]
    )
    assert f"({isolated})" in data["ladders"][0]["chart"].reading


def test_without_a_loss_the_words_say_so() -> None:
    rungs = steps(SCORES, dict(zip(NAMES[:5], (0.01,) * 5, strict=True)))
    data = section.section(truths.context(measured(SCORES, rungs))).data
    assert data["lead"] == "No step of any ladder loses much agreement in this study."


def test_every_arm_has_a_figure_in_the_page_without_a_script() -> None:
    rungs = whole()
    filled = measured({"exact": SCORES, "other": draws(8, SHAPE)}, rungs)
    measured({"exact": SCORES, "other": draws(8, SHAPE)}, rungs, arm="linear", into=filled)
    connection = filled.connection()
    html = page(connection, world.RUN)
    text = assert_sound(html)
    figures = re.findall(r'<figure id="ladder-\d">.*?</figure>', html, re.DOTALL)
    assert len(figures) == 4
    for figure in figures:
        assert figure.count("<svg") == 3
        assert '<pre class="sql"' in figure
        assert not re.search(r"#[0-9a-f]{6}\b", figure)
    (ladders,) = re.findall(r'<section id="ladder">.*?</section>', html, re.DOTALL)
    assert not re.search(r"hidden|display", ladders)
    assert "noise ceiling" in text
    assert "proximity: proximal → warm" in text
    for sql in printed_queries(html):
        connection.execute(sql).fetchall()


def test_hover_and_label_say_what_a_bar_shows() -> None:
    context = truths.context(measured(SCORES, whole()))
    (drawn,) = section.section(context).data["ladders"]
    scores, neighbours, gaps = (panel.svg for panel in drawn["chart"].panels)
    assert "score with warm retraining: Pearson 0." in scores
    assert re.search(r"score with cold retraining over seeds: .*?noise ceiling 0\.\d", scores)
    assert "linearization, linear response to proximal Bregman response: Pearson" in neighbours
    assert "proximity, proximal optimum to warm retraining: root mean square" in gaps


def test_the_noise_ceiling_is_that_of_planted_noise() -> None:
    signal = draws(3, (4, 6, 60))
    sample = Sample(tuple(signal), tuple(replicated(signal, 5, 1.5)))
    expected = 1 / (1 + 1.5**2 / 5)
    assert noise_ceiling(sample) == pytest.approx(expected**0.5, abs=0.02)
    known = noise(sample, 0)
    assert known.mean.value == pytest.approx(expected, abs=0.03)
    assert known.mean.low is not None
    assert known.mean.high is not None
    assert known.mean.low < expected < known.mean.high
    assert noise_ceiling(Sample(tuple(signal), tuple(signal[:, None]))) is None


def test_repeats_of_different_sizes_have_students_interval() -> None:
    x = [draws(k, (5, size)) for k, size in enumerate((20, 24, 28))]
    y = [a + 0.8 * draws(10 + k, a.shape) for k, a in enumerate(x)]
    found = agreement(Sample(tuple(x), tuple(b[None] for b in y)), "pearson", 0)
    each = [
        np.mean([pearson(s, t) for s, t in zip(a, b, strict=True)])
        for a, b in zip(x, y, strict=True)
    ]
    expected = stats.t.interval(0.95, 2, np.mean(each), stats.sem(each))
    assert (found.low, found.high) == pytest.approx(expected)
    squares = [np.mean((b - a) ** 2) for a, b in zip(x, y, strict=True)]
    low, high = stats.t.interval(0.95, 2, np.mean(squares), stats.sem(squares))
    gap = root_mean_square(Sample(tuple(x), tuple(b[None] for b in y)), 0)
    assert (gap.low, gap.high) == pytest.approx((np.sqrt(max(low, 0)), np.sqrt(high)))


def test_the_interval_of_one_test_point_is_as_wide_as_theory_says() -> None:
    x = draws(1, (1, 400))
    y = x + draws(2, (1, 400))
    found = agreement(Sample((x,), (y[None],)), "pearson", 0)
    assert found.value == pytest.approx(pearson(x[0], y[0]))
    assert found.low is not None
    assert found.high is not None
    width = 2 * 1.96 * (1 - found.value**2) / np.sqrt(400)
    assert found.high - found.low == pytest.approx(width, rel=0.2)


def test_test_points_without_differences_are_left_out() -> None:
    x, y = draws(1, (1, 3, 10)), draws(2, (1, 3, 10))
    y[0, 1] = 0.5
    found = agreement(Sample(tuple(x), tuple(y[:, None])), "spearman", 0)
    assert found.value == pytest.approx(np.mean([spearman(x[0, t], y[0, t]) for t in (0, 2)]))
    constant = agreement(Sample(tuple(x), tuple(np.zeros((1, 1, 3, 10)))), "pearson", 0)
    assert constant.value is None
    assert constant.reason == "one side is constant at every test point"


def test_selection_and_mismatched_truths_stand_beside_the_ladder(tmp_path: Path) -> None:
    points = {"kind": "stratified", "by": "score", "estimator": "exact", "count": 9}
    procedure = {"train_points": points, "test_points": {"kind": "all"}, "damping": 0.01}
    study = tiny.changed(
        tiny.TINY,
        {
            "procedures": {
                "pbrf": {"kind": "pbrf", **procedure},
                "proximal": {"kind": "proximal", **procedure},
                "last": {"kind": "proximal", "parameters": "last_layer", **procedure},
            },
        },
    )
    run_id = tiny.run(study, tmp_path).run_id
    with queries.connect(tmp_path) as connection:
        data = section.section(Context(Source(connection, run_id))).data
    (ladder,) = data["ladders"]
    apart = " ".join(ladder["apart"])
    sql = """SELECT value FROM summaries WHERE procedure = 'proximal' AND metric = 'pearson'
        AND aggregation = 'median' AND weighting = '{}'"""
    whole = tiny.rows(tmp_path, sql.format("population"))[0][0]
    assert "Selection, proximal" in apart
    assert f"{whole:.2f}"[:4] in apart
    assert "last: median Pearson" in apart
    assert "truth last_layer" in apart
