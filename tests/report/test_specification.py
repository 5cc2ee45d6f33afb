from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fragility.protocols import PROTOCOLS
from fragility.report import specification
from fragility.report.context import Context
from fragility.report.page import page
from fragility.report.sections.specification import section
from fragility.report.source import Source
from tests.report import world
from tests.report.test_page import assert_sound

DECLARED = "protocols: [basu-2021, {kind: koh-liang-2017, points: 20}, grosse-2023, recommended]\n"
ARM = world.Arm("mlp", noise=0.9)


def study(*, declared: str = "", overrides: str = "[]", **settings: Any) -> Context:
    w = world.World()
    text = world.STUDY_TEXT + declared
    w.add("runs", world.run_row(study_text=text, overrides=overrides))
    world.populate(w, [ARM], **settings)
    return Context(Source(w.connection(), world.RUN))


def test_the_table_says_each_number_or_why_there_is_none() -> None:
    context = study(declared=DECLARED, points=60)
    (table,) = section(context).data["protocols"]
    rows = {row["kind"]: row for row in table["rows"]}
    assert list(rows) == ["basu-2021", "koh-liang-2017", "grosse-2023", "recommended"]
    assert rows["koh-liang-2017"]["n"] == "20 × 1 × 1"
    assert rows["recommended"]["n"] == "60 × 5 × 1"
    assert rows["grosse-2023"]["value"] == ""
    assert "no proximal Bregman response" in rows["grosse-2023"]["words"]


def test_a_protocol_reads_what_the_tables_hold() -> None:
    context = study(declared=DECLARED, points=60, replicates=4, repeats=2)
    (one,) = specification.build(context).shown
    rows = context.source._connection.execute(
        "SELECT cell_id, test_point, any_value(score), avg(effect) FROM effects JOIN scores"
        " USING (cell_id, test_point, train_point) GROUP BY cell_id, test_point, train_point"
    ).fetchall()
    by_test: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for cell, test, score, effect in rows:
        by_test.setdefault((cell, test), []).append((score, effect))
    expected = np.mean([spearmanr(*np.array(pairs).T).statistic for pairs in by_test.values()])
    found = one.protocols["recommended"].specification
    assert found is not None
    assert found.number.value == pytest.approx(expected, abs=1e-12)
    assert (found.number.n, found.number.tests, found.number.repeats) == (60, 5, 2)


def test_overrides_declare_too() -> None:
    context = study(declared=DECLARED, overrides='["seed=1", "protocols=[lds]"]')
    assert [p.kind for p in specification.protocols(context.source.run)] == ["lds"]


def test_without_protocols_the_curve_is_there_and_says_what_to_declare() -> None:
    data = section(study()).data
    assert len(data["charts"]) == 1
    assert data["protocols"] == []
    assert not data["declared"]


def test_without_a_choice_there_is_no_curve() -> None:
    w = world.World()
    w.add("runs", world.run_row())
    assert section(Context(Source(w.connection(), world.RUN))).data["charts"] == []


def test_the_reading_gives_the_range_of_signed_correlations() -> None:
    context = study(points=60)
    (one,) = specification.build(context).shown
    values = [s.number.value for s in one.curve.specifications if s.rule.measure != "|spearman|"]
    chart, _, _ = section(context).data["charts"][0]
    low, high = (f"{v:.3f}".replace("-", "−") for v in (min(values), max(values)))
    pattern = rf"moves the correlation from {low} \[[^\]]+\] to {high} \[[^\]]+\] \(median"
    assert re.search(pattern, chart.reading)


def test_pairs_beyond_the_bound_are_thinned_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specification, "PAIRS", 100)
    context = study(points=30, tests=12)
    found = specification.build(context)
    assert found.every == 4
    (one,) = found.shown
    assert {s.number.tests for s in one.curve.specifications if s.rule.tests == "all"} == {3}
    chart, _, _ = section(context).data["charts"][0]
    assert "those of one in 4 test points are read" in " ".join(chart.notes)


def test_every_protocol_can_be_marked() -> None:
    declared = f"protocols: [{', '.join(PROTOCOLS.methods)}]\n"
    _, wide, narrow = section(study(declared=declared, points=120)).data["charts"][0]
    for panel in (wide, narrow):
        for kind in ("koh-liang-2017", "basu-2021", "epifano-2023", "recommended"):
            assert f">{kind} " in panel.svg


def test_the_matrix_names_every_choice_below_its_heading() -> None:
    _, wide, _ = section(study(points=60, replicates=2, repeats=2)).data["charts"][0]
    for heading in ("test points", "removals", "truth", "metric", "average"):
        assert f">{heading}<" in wide.svg
    for choice in ("largest loss", "30th percentile", "warm, mean", "warm, one", "of means"):
        assert f">{choice}<" in wide.svg


BADGE = "target mismatch: score last_layer, truth all"


def mismatched(last: str | None, **settings: Any) -> Context:
    """A score of the last layer: `warm` moves all parameters, `last`, if any, the last layer's."""
    procedures = ("warm",) if last is None else ("warm", last)
    w = world.World()
    w.add("runs", world.run_row(study_text=world.STUDY_TEXT + DECLARED))
    world.populate(w, [ARM], points=60, procedures=procedures, **settings)
    names = world.names("arms")
    rows = []
    for row in w.rows["arms"]:
        known = dict(zip(names, row, strict=True)) | {"score_parameters": "last_layer"}
        if known["procedure"] == "warm":
            known["mismatch"] = BADGE
        rows.append(tuple(known.values()))
    w.rows["arms"] = rows
    return Context(Source(w.connection(), world.RUN))


def test_truths_of_other_parameters_are_drawn_with_a_badge_and_not_counted() -> None:
    context = mismatched("z_last")
    (one,) = specification.build(context).shown
    assert {s.procedure for s in one.curve.signed} == {"z_last"}
    assert {(s.procedure, s.mismatch) for s in one.curve.mismatched} == {("warm", BADGE)}
    chart, wide, _ = section(context).data["charts"][0]
    count = len(one.curve.mismatched)
    assert (
        f"{count} specifications about other parameters ({BADGE}) are drawn and not counted."
        in (chart.reading)
    )
    values = [s.number.value for s in one.curve.signed]
    assert f"{min(values):.3f}".replace("-", "−") in chart.reading
    assert f"≠ warm: {BADGE}." in chart.notes
    assert "≠ warm" in wide.svg
    assert "≠ z_last" not in wide.svg
    assert "target mismatch" in [key.label for key in chart.keys]


def test_a_protocol_takes_the_matching_truth_and_badges_another() -> None:
    (table,) = section(mismatched("z_last")).data["protocols"]
    assert {row["mismatch"] for row in table["rows"]} == {""}
    assert "truth: z_last." in table["rows"][0]["words"]
    context = mismatched(None)
    (table,) = section(context).data["protocols"]
    rows = {row["kind"]: row["mismatch"] for row in table["rows"] if row["value"]}
    assert rows == {"koh-liang-2017": BADGE, "basu-2021": BADGE, "recommended": BADGE}
    chart, wide, _ = section(context).data["charts"][0]
    assert f"All of them are about other parameters ({BADGE})." in chart.reading
    assert " ≠</text>" in wide.svg


def test_the_badge_stands_in_the_page_wherever_the_number_does() -> None:
    text = assert_sound(page(mismatched(None).source._connection, world.RUN))
    for kind in ("koh-liang-2017", "basu-2021", "recommended"):
        assert re.search(rf"{kind}.*?{BADGE}", text, re.DOTALL)
