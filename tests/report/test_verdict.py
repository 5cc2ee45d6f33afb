"""The verdict: every rule by its numbers, and every verdict from a store that is made for it."""

from __future__ import annotations

import numpy as np
import pytest

from fragility.report import evidence as gathering
from fragility.report import verdict as rules
from fragility.report.averages import Noise
from fragility.report.page import page
from fragility.report.sections import verdict as section
from fragility.report.verdict import Compared, Evidence, Verdict, judge
from fragility.statistics.estimate import Estimate, missing
from tests.report import truths, world
from tests.report.test_page import assert_sound, printed_queries
from tests.report.truths import Truth, draws, measured, replicated

HIGH, LOW, WIDE = Estimate(0.95, 0.9, 0.98), Estimate(0.3, 0.1, 0.5), Estimate(0.7, 0.5, 0.85)


def noise(reliability: float, replicates: int = 4) -> Noise:
    single = reliability / (replicates - (replicates - 1) * reliability)
    around = [Estimate(value, value - 0.05, value + 0.05) for value in (single, reliability)]
    return Noise(replicates, *around, Estimate(reliability**0.5, None, None, "not needed here"))


def compared(observed: Estimate | None, corrected: Estimate | None = None) -> Compared | None:
    return None if observed is None else Compared("a truth", observed, corrected)


def verdict_of(
    reliability: float | None,
    target: Estimate | None,
    retraining: Estimate | None,
    groups: Estimate | None = None,
    corrected: Estimate | None = None,
) -> Verdict:
    known = noise(reliability) if reliability is not None else None
    better = (corrected or retraining) if known else None
    return judge(Evidence(compared(target), compared(retraining, better), compared(groups), known))


@pytest.mark.parametrize(
    ("reliability", "target", "retraining", "groups", "name"),
    [
        (0.2, HIGH, HIGH, HIGH, "not measurable with this budget"),
        (0.2, LOW, LOW, LOW, "not measurable with this budget"),
        (0.49, None, HIGH, None, "not measurable with this budget"),
        (0.9, HIGH, HIGH, HIGH, "faithful"),
        (0.9, HIGH, HIGH, None, "faithful"),
        (0.9, None, HIGH, None, "faithful"),
        (0.9, LOW, HIGH, None, "faithful"),
        (None, HIGH, HIGH, None, "faithful"),
        (0.9, HIGH, LOW, HIGH, "LOO target mismatch"),
        (0.9, HIGH, LOW, LOW, "answers another question"),
        (0.9, HIGH, LOW, None, "answers another question"),
        (0.9, HIGH, LOW, WIDE, "answers another question"),
        (0.9, LOW, LOW, LOW, "estimator fails"),
        (0.9, LOW, LOW, HIGH, "estimator fails"),
        (None, LOW, LOW, None, "estimator fails"),
        (None, LOW, None, None, "estimator fails"),
        (None, HIGH, LOW, HIGH, "cannot tell"),
        (None, HIGH, None, HIGH, "cannot tell"),
        (None, None, LOW, None, "cannot tell"),
        (None, LOW, WIDE, None, "cannot tell"),
        (None, None, None, HIGH, "cannot tell"),
        (0.9, None, LOW, None, "cannot tell"),
        (0.9, WIDE, LOW, None, "cannot tell"),
        (0.9, HIGH, WIDE, None, "cannot tell"),
        (0.9, LOW, WIDE, None, "cannot tell"),
    ],
)
def test_every_rule(
    reliability: float | None,
    target: Estimate | None,
    retraining: Estimate | None,
    groups: Estimate | None,
    name: str,
) -> None:
    found = verdict_of(reliability, target, retraining, groups)
    assert found.name == name
    assert "fragile" not in " ".join((found.words, *found.because, *found.declare))


def test_the_printed_rules_end_in_the_verdicts_there_are() -> None:
    printed = {rule[-1].partition(":")[0] for rule in rules.RULES}
    assert printed == {
        rules.NOT_MEASURABLE, rules.FAITHFUL, rules.TARGET_MISMATCH, rules.ANOTHER_QUESTION,
        rules.ESTIMATOR_FAILS, rules.CANNOT_TELL,
    }  # fmt: skip


def test_an_estimator_that_fails_is_told_what_to_check_in_which_order() -> None:
    words = verdict_of(0.9, LOW, LOW).words
    assert words == "estimator fails: check solver, dtype, damping, curvature, in that order"
    reversed_sign = verdict_of(0.9, Estimate(-0.9, -0.95, -0.8), LOW)
    assert "It has the opposite sign." in reversed_sign.because


def test_low_agreement_counts_after_correction_and_high_as_observed() -> None:
    assert verdict_of(0.6, HIGH, LOW, corrected=HIGH).name == "faithful"
    assert verdict_of(0.9, HIGH, HIGH, corrected=missing("withheld")).name == "faithful"
    withheld = verdict_of(0.6, HIGH, LOW, corrected=missing("the interval is too low"))
    assert withheld.name == "cannot tell"
    assert "the interval is too low" in " ".join(withheld.because)
    assert withheld.declare == ("`replicates: 11`",)


@pytest.mark.parametrize(("reliability", "replicates"), [(0.1, 2), (0.3, 3), (0.45, 8)])
def test_what_is_not_measurable_says_how_many_replicates_would_do(
    reliability: float, replicates: int
) -> None:
    known = noise(reliability, replicates)
    found = judge(Evidence(None, compared(LOW, LOW), None, known))
    (declared,) = found.declare
    needed = int(declared.strip("`").rpartition(" ")[2])
    single = known.single.value or 0.0

    def stepped_up(count: int) -> float:
        return count * single / (1 + (count - 1) * single)

    assert stepped_up(needed) >= 0.8 > stepped_up(needed - 1)


def test_what_is_undecided_is_named_once() -> None:
    both = verdict_of(0.9, WIDE, WIDE)
    one = verdict_of(0.9, HIGH, WIDE)
    assert [line.count("may lie on either side of 0.8") for line in both.because] == [1]
    assert both.because[0].count("0.700") == 2
    assert one.because[0].count("0.700") == 1


def test_replicates_that_agree_by_chance_name_no_number() -> None:
    nothing = Noise(3, *(Estimate(0.0, 0.0, 0.2) for _ in range(3)))
    found = judge(Evidence(None, compared(LOW, LOW), None, nothing))
    assert found.declare == ()
    assert "no number of them can be named" in found.because[1]


def test_one_truth_without_replicates_says_what_to_declare() -> None:
    found = verdict_of(None, None, LOW)
    assert "Reliability is unknown" in " ".join(found.because)
    assert any("`replicates: 10` with `start: cold`" in line for line in found.declare)
    assert any("`linear_response`" in line for line in found.declare)
    high = verdict_of(None, None, HIGH)
    assert "it should be 90\u202f% or more" in " ".join(high.because)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(0.8, None, None, "none"), "high"),
        (Estimate(0.79, None, None, "none"), "low"),
        (Estimate(0.9, 0.8, 1.0), "high"),
        (Estimate(0.9, 0.799, 1.0), "undecided"),
        (Estimate(0.7, 0.5, 0.799), "low"),
        (Estimate(0.7, 0.5, 0.8), "undecided"),
        (Estimate(-0.9, -1.0, -0.8), "low"),
        (missing("no pairs"), None),
    ],
)
def test_the_interval_decides_the_level(estimate: Estimate, expected: str | None) -> None:
    assert rules.level(estimate) == expected


SCORES, OTHER, THIRD = draws(1), draws(2), draws(3)
NEAR = SCORES + 0.1 * OTHER


def of_store(filled: world.World, estimator: str = "exact") -> tuple[Verdict, Evidence]:
    context = truths.context(filled)
    (arm, _), *_ = gathering.judged(context)
    found = gathering.gather(context, arm, estimator)
    return judge(found), found


def linear(effects: np.ndarray) -> Truth:
    return Truth("linear_response", effects[:, None])


def seeds(effects: np.ndarray, noise_size: float = 0.3, count: int = 6) -> Truth:
    return Truth("cold over seeds", replicated(effects, count, noise_size))


def groups(effects: np.ndarray) -> Truth:
    return Truth("leave_group_out", effects[:, None], group=True)


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ({"linear": linear(NEAR), "seeds": seeds(NEAR)}, "faithful"),
        ({"warm": Truth("warm", NEAR[:, None])}, "faithful"),
        (
            {"pbrf": Truth("pbrf", NEAR[:, None]), "seeds": seeds(THIRD), "groups": groups(NEAR)},
            "LOO target mismatch",
        ),
        (
            {"linear": linear(NEAR), "seeds": seeds(THIRD), "groups": groups(OTHER)},
            "answers another question",
        ),
        ({"linear": linear(OTHER), "seeds": seeds(OTHER)}, "estimator fails"),
        ({"linear": linear(NEAR), "seeds": seeds(NEAR, 8.0, 2)}, "not measurable with this budget"),
        ({"warm": Truth("warm", OTHER[:, None])}, "cannot tell"),
        ({"linear": linear(NEAR), "cold": Truth("cold", OTHER[:, None])}, "cannot tell"),
    ],
)
def test_every_verdict_has_a_world(declared: dict[str, Truth], name: str) -> None:
    found, _ = of_store(measured(SCORES, declared))
    assert found.name == name


def test_noise_that_hides_a_faithful_score_is_corrected() -> None:
    scores = draws(4, (1, 20, 200))
    near = scores + 0.1 * draws(5, scores.shape)
    found, known = of_store(
        measured(scores, {"linear": linear(near), "seeds": seeds(near, 2.0, 6)})
    )
    assert known.retraining is not None
    assert known.retraining.observed.value is not None
    assert known.noise is not None
    assert known.noise.mean.value is not None
    expected = 1.01 / (1.01 + 2.0**2 / 6)
    assert known.noise.mean.value == pytest.approx(expected, abs=0.02)
    assert known.retraining.observed.value == pytest.approx((expected / 1.01) ** 0.5, abs=0.02)
    assert known.retraining.corrected is not None
    assert known.retraining.corrected.value == pytest.approx(1 / 1.01**0.5, abs=0.02)
    assert found.name == "faithful"


def test_a_last_layer_is_judged_by_its_own_optimum_and_the_mismatch_is_named() -> None:
    badge = "target mismatch: score last_layer, truth all"
    declared = {
        "frozen": Truth("frozen", NEAR[:, None], parameters="last_layer"),
        "seeds": Truth("cold over seeds", replicated(OTHER, 6, 0.3), mismatch=badge),
    }
    found, known = of_store(measured(SCORES, declared, parameters="last_layer"))
    assert found.name == "answers another question"
    assert known.target is not None
    assert known.target.words == "optimum of the last layer (frozen)"
    assert any(badge in line for line in found.because)


def test_retraining_of_the_same_parameters_comes_before_any_other() -> None:
    declared = {
        "all": Truth("cold over seeds", replicated(OTHER, 6, 0.3), mismatch="target mismatch: x"),
        "last": Truth("warm", NEAR[:, None], parameters="last_layer"),
    }
    _, known = of_store(measured(SCORES, declared, parameters="last_layer"))
    assert known.retraining is not None
    assert (known.retraining.words, known.retraining.mismatch) == ("warm retraining (last)", "")


def test_the_truth_with_replicates_is_the_retraining() -> None:
    declared = {"cold": Truth("cold", OTHER[:, None]),
                "orders": Truth("warm over orders", replicated(NEAR, 5, 0.3))}  # fmt: skip
    _, known = of_store(measured(SCORES, declared))
    assert known.noise is not None
    assert known.noise.replicates == 5


def test_the_section_shows_every_score_its_numbers_and_the_rules() -> None:
    filled = measured(
        {"good": SCORES, "bad": OTHER},
        {"linear": linear(NEAR), "seeds": seeds(NEAR), "groups": groups(NEAR)},
    )
    data = section.section(truths.context(filled)).data
    rows = {row.estimator: row for row in data["rows"]}
    assert rows["good"].verdict == "faithful"
    assert rows["bad"].verdict.startswith("estimator fails: check solver")
    assert [len(row.cells) for row in rows.values()] == [5, 5]
    assert data["rules"] == rules.RULES
    assert any(line.startswith("mlp · good: faithful; agreement with") for line in data["lead"])


def test_the_printed_numbers_are_those_of_the_verdict() -> None:
    filled = measured(np.tile(SCORES, (3, 1, 1)) + 0.2 * draws(9, (3, 8, 40)), {
        "linear": linear(np.tile(NEAR, (3, 1, 1))), "seeds": seeds(np.tile(NEAR, (3, 1, 1)), 1.0),
    })  # fmt: skip
    context = truths.context(filled)
    known = gathering.gather(context, "mlp", "exact")
    asked, reliability = section.section(context).data["tables"]
    row = dict(zip(asked.columns, asked.rows[1], strict=True))
    assert row["procedure"] == "seeds"
    assert known.retraining is not None
    assert known.noise is not None
    assert float(row["pearson"]) == pytest.approx(known.retraining.observed.value, rel=1e-3)
    row = dict(zip(reliability.columns, reliability.rows[0], strict=True))
    assert float(row["single_replicate"]) == pytest.approx(known.noise.single.value, rel=1e-3)
    assert float(row["mean_of_all"]) == pytest.approx(known.noise.mean.value, rel=1e-3)


def test_the_page_is_sound_and_its_queries_run() -> None:
    filled = measured(SCORES, {"linear": linear(NEAR), "seeds": seeds(OTHER, 0.3, 3)})
    connection = filled.connection()
    html = page(connection, world.RUN)
    text = assert_sound(html)
    assert "answers another question" in text
    assert "How a verdict is derived" in text
    for sql in printed_queries(html):
        connection.execute(sql).fetchall()


def test_many_scores_are_counted() -> None:
    filled = measured({f"e{k}": SCORES for k in range(6)}, {"linear": linear(OTHER)})
    (lead,) = section.section(truths.context(filled)).data["lead"]
    assert lead == "Of 6 scores: 6 estimator fails."
