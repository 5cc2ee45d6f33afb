from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from fragility.report import reasons
from fragility.report.comparisons import Comparison, Judged
from fragility.report.context import Context
from fragility.report.pairs import choose, load
from fragility.report.sections import agreement, answer, convergence, factors, head, trajectories
from fragility.report.series import swept
from fragility.report.source import Source
from fragility.report.statistics import mean_interval
from tests.report import world
from tests.report.test_page import assert_sound


def context(w: world.World) -> Context:
    return Context(Source(w.connection(), world.RUN))


def study(*arms: world.Arm, **settings: Any) -> Context:
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, arms, **settings)
    return context(w)


BAD = world.Arm("mlp", noise=0.9, grad_norm=3e-3, negative=37, converged=0.5, parameters=642)


def test_the_answer_names_both_ends_and_what_differs() -> None:
    data = answer.section(study(world.Arm("linear"), BAD)).data
    assert "in linear (median Pearson" in data["lead"][0]
    assert "than in mlp" in data["lead"][0]
    names = [reason.name for reason in data["reasons"]]
    assert names[:3] == ["Not stationary", "Not at a minimum", "Retrainings not converged"]
    assert any("37 negative eigenvalues of 642" in reason.text for reason in data["reasons"])


def test_the_answer_about_a_convex_model_has_nothing_to_explain() -> None:
    data = answer.section(study(world.Arm("linear"))).data
    assert [reason.name for reason in data["reasons"]] == ["Conditions met by linear"]
    assert "no negative Hessian eigenvalue, all 26 retrainings converged" in data["reasons"][0].text


def test_overlapping_intervals_are_not_ordered() -> None:
    twins = [world.Arm("a", noise=0.5), world.Arm("b", noise=0.5)]
    assert (
        "overlap: this study does not order them" in answer.section(study(*twins)).data["lead"][0]
    )


def test_repeats_give_the_interval_over_repeats() -> None:
    found = study(world.Arm("mlp", noise=0.5), repeats=4, tests=1)
    (combination,) = found.combinations
    estimate = found.estimates[combination, "slope"]
    rows = found.source._connection.execute(
        "SELECT value FROM summaries WHERE metric = 'slope'"
    ).fetchall()
    expected = mean_interval(np.array(rows).ravel())
    np.testing.assert_allclose(
        [estimate.value, estimate.low, estimate.high], [expected.value, expected.low, expected.high]
    )


def test_one_repeat_keeps_the_bootstrap_interval() -> None:
    found = study(world.Arm("mlp", noise=0.5))
    estimate = found.estimates[found.combinations[0], "slope"]
    low, high = found.source._connection.execute(
        "SELECT ci_low, ci_high FROM summaries WHERE metric = 'slope'"
    ).fetchone() or (None, None)
    assert (estimate.low, estimate.high) == (low, high)


def test_constants_have_no_value_and_a_reason() -> None:
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, [world.Arm("mlp")], metrics=())
    why = "all 25 effects are equal"
    for test in range(5):
        row = ("cell000r00", "exact", "warm", test, "pearson", "raw", *[None] * 5, 25, why)
        w.add("agreements", row)
    summary = (
        "cell000r00",
        "exact",
        "warm",
        "pearson",
        "median",
        "raw",
        None,
        None,
        None,
        1.0,
        5,
        25,
        why,
    )
    w.add("summaries", summary)
    from fragility.report.page import page

    text = assert_sound(page(w.connection(), world.RUN))
    assert f"The most frequent reason: {why}." in text
    assert agreement.section(context(w)).data["undefined"] == [
        f"mlp, Pearson: {why} (5 agreements)"
    ]


def test_replicates_show_a_ceiling_and_a_mismatch_its_badge() -> None:
    found = study(world.Arm("mlp", noise=0.5), replicates=3, mismatch="score last_layer, truth all")
    badges = {badge.name: badge for badge in head.section(found).data["badges"]}
    assert badges["Noise ceiling"].state == "fine"
    assert badges["Target mismatch"].text == "score last_layer, truth all"
    ceiling, bounds = agreement.section(found).data["rows"][0]["ceiling"]
    low, high = map(float, bounds.strip("[]").split(","))
    assert 0.9 < low < float(ceiling) < high
    choices = choose(found)
    pairs, _ = load(found, choices)
    assert pairs[0].replicates == 3
    assert (pairs[0].low <= pairs[0].effect).all()


def test_the_estimate_for_the_population_stands_beside_that_of_the_points() -> None:
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, [world.Arm("mlp", noise=0.5)], metrics=("pearson", "slope"))
    assert agreement.section(context(w)).data["rows"][0]["cells"][0].population == ""
    row = ("cell000r00", "exact", "warm", "pearson", "median", "population")
    w.add("summaries", (*row, 0.4321, 0.2, 0.6, 0.0, 5, 25, None))
    from fragility.report.page import page

    pearson, slope = agreement.section(context(w)).data["rows"][0]["cells"]
    assert pearson.population == "population 0.432 [0.200,\u00a00.600]"
    assert pearson.value != "0.432"
    assert slope.population == ""
    text = assert_sound(page(w.connection(), world.RUN))
    assert "“population” estimates that of all" in text
    assert pearson.population in text


def test_estimators_keep_their_colours() -> None:
    found = study(world.Arm("mlp"), estimators=("lissa", "exact", "cg"))
    assert found.colours == {"cg": "c1", "exact": "c2", "lissa": "c3"}


def test_worst_median_and_best_test_points_are_drawn() -> None:
    found = study(BAD, tests=9)
    choices = choose(found)
    values = sorted(
        row[0]
        for row in found.source._connection.execute(
            "SELECT value FROM agreements WHERE metric = 'pearson'"
        ).fetchall()
    )
    assert [choice.place for choice in choices] == ["worst", "median", "best"]
    assert [choice.value for choice in choices] == [values[0], values[4], values[8]]


def test_pairs_are_ordered_by_effect_and_thinned_with_both_ends() -> None:
    found = study(BAD, tests=3, points=200)
    pairs, _ = load(found, choose(found))
    assert (np.diff(pairs[0].effect) <= 0).all()
    thin = pairs[0].thinned(20)
    assert thin.effect.size <= 20
    assert thin.rank[[0, -1]].tolist() == [1, 200]
    assert len(thin.hover()) == thin.effect.size


def test_a_sweep_is_drawn_over_its_values_in_order() -> None:
    found = context(world.depths(3, count=11))
    assert swept(found) == {"models.mlp.depth": [str(k) for k in range(1, 12)]}
    (drawn,) = factors.section(found).data["factors"]
    assert [key.label for key in drawn["chart"].keys] [:2] == ["l2", "none"]  # fmt: skip
    assert [panel.title for panel in drawn["chart"].panels] == [
        "Pearson",
        "Spearman",
        "top Hessian eigenvalue",
    ]
    assert found.arm_label("l2 / models.mlp.depth=2") == "l2 / depth=2"


def test_without_a_sweep_the_section_says_so() -> None:
    assert "Nothing was swept" in factors.section(study(world.Arm("mlp"))).data["none"]


def test_trajectories_prefer_the_test_point_of_the_scatter() -> None:
    chart = trajectories.section(context(world.depths(2))).data["chart"]
    assert chart is not None
    assert len(chart.panels) == 6
    assert trajectories.section(study(world.Arm("a"))).data["chart"] is None


def test_diverged_trainings_are_counted_and_do_not_break_figures() -> None:
    w = world.quickstart()
    rows = w.rows["trainings"]
    names = world.names("trainings")
    broken = dict(zip(names, rows[-2], strict=True)) | {
        "diverged": True,
        "converged": False,
        "grad_norm": float("nan"),
        "train_loss": float("inf"),
    }
    rows[-2] = tuple(broken.values())
    from fragility.report.page import page

    text = assert_sound(page(w.connection(), world.RUN))
    assert re.search(r"mlp: 1 retraining diverged", text)
    assert "1 diverged" in convergence.section(context(w)).data["chart"].reading


def test_dataclasses_of_the_page_are_frozen() -> None:
    for kind in (reasons.Reason, head.Badge, Comparison, Judged):
        assert dataclasses.fields(kind)
        assert kind.__dataclass_params__.frozen
