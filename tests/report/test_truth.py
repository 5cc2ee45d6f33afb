"""The section on truth: against planted noise and placebos, and its queries against NumPy."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fragility.report import truths as measuring
from fragility.report.sections import truth as section
from fragility.store import noise_queries as ask
from tests.report import truths, world
from tests.report.conftest import PageOf
from tests.report.test_page import assert_sound, printed_queries
from tests.report.truths import Truth, draws, measured, replicated

SHAPE = (3, 6, 60)
SIGNAL = draws(3, SHAPE)
NOISE, COUNT = 1.5, 6
SINGLE = 1 / (1 + NOISE**2)
MEAN = 1 / (1 + NOISE**2 / COUNT)


def noisy(noise: float = NOISE, count: int = COUNT) -> Truth:
    return Truth("cold over seeds", replicated(SIGNAL, count, noise))


def filled(truth: Truth, placebo: float | None = None) -> world.World:
    found = measured(SIGNAL, {"seeds": truth})
    if placebo is None:
        return found
    for cell in sorted({row[0] for row in found.rows["cells"]}):
        for test in range(SHAPE[1]):
            found.row(
                "effects",
                cell_id=cell,
                procedure="seeds",
                replicate=0,
                removal="placebo",
                test_point=test,
                before=0.1,
                after=0.1 + placebo,
                effect=placebo,
            )
    return found


def only(found: world.World) -> measuring.Measured:
    context = truths.context(found)
    (one,) = measuring.measured(context, measuring.procedures(context))
    return one


def test_reliability_is_that_of_the_planted_noise() -> None:
    one = only(filled(noisy()))
    for found, expected in ((one.noise.single, SINGLE), (one.noise.mean, MEAN)):
        assert found.value == pytest.approx(expected, abs=0.03)
        assert found.low is not None
        assert found.high is not None
        assert found.low < expected < found.high
    # Halves are means over three replicates.
    assert one.half == pytest.approx(1 / (1 + NOISE**2 / 3), abs=0.04)
    assert one.full == pytest.approx(MEAN, abs=0.03)
    assert len(one.splits) == SHAPE[0] * SHAPE[1]


def test_the_sentence_names_the_replicates_that_reach_the_target() -> None:
    data = section.section(truths.context(filled(noisy()))).data
    words = data["reliability"].reading
    exact = 0.8 * (1 - SINGLE) / (SINGLE * 0.2)
    found = re.search(r"a reliability of 0\.8 takes (\d+) replicates \[(\d+), (\d+)\]", words)
    assert found is not None
    value, low, high = map(int, found.groups())
    assert low < exact < high
    assert value == pytest.approx(exact, abs=2)
    assert words.startswith("In mlp, 6 replicates reach 0.")
    assert data["rows"][0]["needed"] == f"{value} [{low}, {high}]"
    assert f">{value}<" in data["reliability"].panels[0].svg


def test_pure_noise_names_no_number() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 2, *SHAPE[1:]))
    half = np.concatenate([noise, -noise], axis=1)
    data = section.section(truths.context(filled(Truth("cold over seeds", half)))).data
    assert "no number of them can be named for 0.8" in data["reliability"].reading
    assert data["rows"][0]["needed"] == "no number"


def test_the_placebo_stands_beside_the_effects() -> None:
    one = only(filled(noisy(0.0), placebo=0.02))
    median = float(np.median(np.abs(SIGNAL)))
    assert one.share == pytest.approx(0.02 / median)
    data = section.section(truths.context(filled(noisy(0.0), placebo=0.02))).data
    assert "the removals' own" in data["sizes"].reading
    assert data["rows"][0]["placebo"] == "0.0200"
    drifting = section.section(truths.context(filled(noisy(0.0), placebo=0.5))).data
    assert "in 1 of 1 it is 10\u202f% or more" in drifting["sizes"].reading
    none = section.section(truths.context(filled(noisy()))).data
    assert none["sizes"].reading.startswith("No placebo was measured")
    still = section.section(truths.context(filled(noisy(), placebo=0.0))).data
    assert still["sizes"].panels[0].note == "the placebo moves nothing"


def test_the_drawn_halves_are_those_of_the_query() -> None:
    context = truths.context(filled(noisy(count=5)))
    one = measuring.measured(context, measuring.procedures(context))[0]
    middle = one.middle
    assert middle is not None
    ordered = sorted(split.split.half for split in one.splits)
    assert middle.split.half == ordered[(len(ordered) - 1) // 2]
    rows = context.source.ask(ask.halves([(middle.cell, "seeds", middle.test_point)]))
    assert [row["removed"] for row in rows] == middle.removed.tolist()
    np.testing.assert_allclose([row["first_half"] for row in rows], middle.first)
    np.testing.assert_allclose([row["second_half"] for row in rows], middle.second)


def test_sizes_are_those_of_the_query() -> None:
    context = truths.context(filled(noisy(), placebo=0.02))
    one = measuring.measured(context, measuring.procedures(context))[0]
    (row,) = context.source.ask(ask.SIZES)
    assert (row["effect"], row["placebo"]) == pytest.approx(one.sizes)
    assert (row["placebos"], row["unmoved"]) == (SHAPE[0] * SHAPE[1], 0)


def test_one_replicate_says_what_to_declare() -> None:
    data = section.section(truths.context(filled(Truth("warm", SIGNAL[:, None])))).data
    assert data["halves"] is None
    assert data["reliability"] is None
    assert "how reliable it is cannot be said" in data["unknown"]
    assert "`replicates` with `start: cold`" in data["unknown"]
    assert data["rows"][0]["needed"] == "unknown"


def test_values_that_are_not_finite_are_left_out() -> None:
    broken = replicated(SIGNAL, 4, NOISE)
    broken[0, 1, 2, 3] = np.nan
    one = only(filled(Truth("cold over seeds", broken)))
    assert one.effects.size == broken.size - 1
    assert one.noise.mean.value is not None
    assert {half.first.size for half in one.splits} == {SHAPE[2] - 1, SHAPE[2]}


def test_the_page_is_sound_and_its_queries_run(page_of: PageOf) -> None:
    connection = filled(noisy(), placebo=0.02).connection()
    html = page_of(connection, section.section)
    text = assert_sound(html)
    assert "How well effects were measured" in text
    figures = re.findall(r'<figure id="truth-\w+">.*?</figure>', html, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        assert not re.search(r"#[0-9a-f]{6}\b", figure)
        assert '<table class="data">' in figure
    for sql in printed_queries(html):
        connection.execute(sql).fetchall()
