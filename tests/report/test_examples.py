"""The section on single examples: who helps and harms, in which order, and what is said of them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fragility.datasets._appearance import png
from fragility.report.context import Context
from fragility.report.examples import Shown, gather
from fragility.report.page import render
from fragility.report.sections.examples import Figure, section, signed
from fragility.report.source import Source
from fragility.report.text import interval, number
from tests.report import world
from tests.report.conftest import PageOf
from tests.report.test_page import assert_sound
from tests.tiny import TINY, changed, rows, run

CELL = "cell000r00"
PICTURE = base64.b64encode(b"not really a picture").decode()


def made(*, kept: range = range(25), repeats: int = 1, **options: Any) -> world.World:
    """A run of one arm whose examples are known, those of the first repeat."""
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, [world.Arm("linear")], tests=3, repeats=repeats, **options)
    for point in range(3):
        w.row("examples", cell_id=CELL, split="test", point=point, label="cat", target=0,
              prediction="dog", source_row=100 + point, picture=PICTURE)  # fmt: skip
    for point in kept:
        w.row("examples", cell_id=CELL, split="train", point=point, label="dog", target=1,
              source_row=point, picture=PICTURE)  # fmt: skip
    return w


def context(w: world.World) -> Context:
    return Context(Source(w.connection(), world.RUN))


def figures(w: world.World) -> list[Figure]:
    found: list[Figure] = section(context(w)).data["figures"]
    return found


def scores(w: world.World) -> dict[tuple[int, int], float]:
    (block,) = [columns for table, columns in w.blocks if table == "scores"]
    keys = zip(block["test_point"], block["train_point"], strict=True)
    return dict(zip(keys, block["score"], strict=True))


def test_both_ends_are_in_order_of_the_score() -> None:
    w = made()
    by_pair = scores(w)
    shown = gather(context(w))
    assert [one.tested.point for one in shown] == [0, 1, 2]
    for one in shown:
        row = np.array([by_pair[one.tested.point, point] for point in range(25)])
        order = np.argsort(-row, kind="stable")
        helpful = [int(point) for point in order if row[point] > 0][:8]
        harmful = [int(point) for point in order[::-1] if row[point] < 0][:8]
        first = one.ends[0]
        assert first.by == "exact"
        assert [card.point for card in first.helpful] == helpful
        assert [card.point for card in first.harmful] == harmful
        assert [card.score for card in first.helpful] == [row[point] for point in helpful]


def test_effects_are_means_with_students_interval() -> None:
    w = made(replicates=4)
    (block,) = [columns for table, columns in w.blocks if table == "effects"]
    for one in gather(context(w)):
        for card in one.ends[0].helpful:
            at = (block["test_point"] == one.tested.point) & (block["train_point"] == card.point)
            values = block["effect"][at].astype(float)
            half = stats.t.ppf(0.975, 3) * stats.sem(values)
            assert card.effect == pytest.approx(values.mean())
            assert (card.low, card.high) == pytest.approx(
                (values.mean() - half, values.mean() + half)
            )
            assert card.replicates == 4


def test_effects_have_an_order_of_their_own_beside_the_scores() -> None:
    w = made()
    (block,) = [columns for table, columns in w.blocks if table == "effects"]
    by_pair = scores(w)
    last = gather(context(w))[0].ends[-1]
    effects = block["effect"][block["test_point"] == 0].astype(float)
    assert last.by == ""
    assert [card.point for card in last.helpful] == np.argsort(-effects)[:8].tolist()
    assert [card.score for card in last.harmful] == [
        by_pair[0, card.point] for card in last.harmful
    ]


def test_what_was_not_retrained_says_so() -> None:
    w = made()
    w.blocks = [
        (table, {name: column[:4] for name, column in columns.items()})
        if table == "effects"
        else (table, columns)
        for table, columns in w.blocks
    ]
    figure = figures(w)[0]
    effects = {card.name: card.effect for _, cards, _ in figure.shown[0].ends for card in cards}
    assert len(effects) == 16
    for name, effect in effects.items():
        assert (effect == "not retrained") == (int(name.rpartition(" ")[2]) >= 4)
    count = sum(effect != "not retrained" for effect in effects.values())
    assert f"{count} of the 16 shown were removed" in figure.reading


def test_an_effect_that_is_not_a_number_is_a_divergence() -> None:
    w = made()
    for table, columns in w.blocks:
        if table == "effects":
            columns["effect"] = np.full(len(columns["effect"]), None, dtype=object)
    figure = figures(w)[0]
    assert {card.effect for _, cards, _ in figure.shown[0].ends for card in cards} == {"diverged"}
    assert len(figure.shown) == 1


def test_planted_examples_are_marked_by_the_names_of_classes() -> None:
    w = made()
    for point in range(25):
        w.row("planted", cell_id=CELL, train_point=point, what="flipped", original=0)
        w.row("planted", cell_id=CELL, train_point=point, what="copy", original=7)
    figure = figures(w)[0]
    for group in figure.shown:
        for _, cards, _ in group.ends:
            assert all(card.marks == ["planted: was cat", "copy of 7"] for card in cards)
    assert any("planted is marked" in note for note in figure.notes)


def test_the_page_shows_pictures_with_words_for_them(page_of: PageOf) -> None:
    w = made(replicates=3)
    html = page_of(w.connection(), section)
    text = assert_sound(html)
    images = re.findall(r"<img [^>]*>", html)
    assert len(images) == 3 * (1 + 4 * 8)
    assert all(f'src="data:image/png;base64,{PICTURE}"' in image for image in images)
    assert all(re.search(r'alt="[^"]+, labelled (cat|dog)"', image) for image in images)
    first = gather(context(w))[0].ends[0].helpful[0]
    assert signed(first.score) in text
    assert interval(first.low, first.high) in text
    for figure in re.findall(r'<figure id="examples-\d+".*?</figure>', html, re.DOTALL):
        assert re.search(r'<p class="reading">.+?\.</p>', figure, re.DOTALL)
        assert figure.count('<pre class="sql"') == 1
        assert "fragility" not in figure


def test_a_training_example_without_a_picture_keeps_its_place(page_of: PageOf) -> None:
    html = page_of(made(kept=range(3)).connection(), section)
    assert_sound(html)
    assert html.count('<span class="blank"') > 20


def test_columns_become_a_table(page_of: PageOf) -> None:
    w = made(kept=range(0))
    evil = "<b>width</b>"
    for row in w.rows["examples"]:
        assert row
    w.rows["examples"].clear()
    for split, count in (("test", 3), ("train", 25)):
        for point in range(count):
            columns = {"age": float(point), evil: 0.25 * point, "town": "Ulm"}
            w.row("examples", cell_id=CELL, split=split, point=point, label="1.23456789",
                  prediction="-2", features=json.dumps(columns))  # fmt: skip
    figure = figures(w)[0]
    assert not figure.pictures
    assert figure.columns == ["age", evil, "town"]
    assert figure.tested.columns == ["0", number(0.0), "Ulm"]
    assert dict(figure.facts)["label"] == "1.23"
    assert dict(figure.facts)["prediction"] == number(-2.0)
    html = page_of(w.connection(), section)
    assert "Ulm" in assert_sound(html)
    assert evil not in html
    assert "<img" not in html


def test_a_run_without_examples_says_why(quickstart: str) -> None:
    assert "No example was kept with this run" in assert_sound(quickstart)


def test_only_the_first_repeat_is_said_to_be_shown() -> None:
    w = made(repeats=3)
    data = section(context(w)).data
    assert {one.tested.cell for one in gather(context(w))} == {CELL}
    assert "first repeat" in data["lead"]


def test_few_of_many_are_shown() -> None:
    w = world.World()
    w.add("runs", world.run_row())
    arms = [world.Arm("mlp", label=f"width={width}") for width in range(9)]
    world.populate(w, arms, tests=12)
    for arm in range(9):
        for point in range(12):
            w.row("examples", cell_id=f"cell{arm:03d}r00", split="test", point=point, label="1")
    shown = gather(context(w))
    assert [one.tested.arm for one in shown] == [
        f"width={width}" for width in (0, 3, 5, 8) for _ in range(2)
    ]
    assert {one.tested.place for one in shown} == {
        "the highest loss of 12",
        "the lowest loss of 12",
    }
    assert "Shown are 4 of 9 arms" in section(context(w)).data["lead"]


def test_estimators_that_know_nothing_come_last_and_many_are_folded(page_of: PageOf) -> None:
    w = made(estimators=("a", "b", "c", "d", "random"))
    w.rows["runs"].clear()
    text = "estimators:\n  random: {kind: random}\n  a: {kind: cg}\n"
    w.add("runs", world.run_row(study_text=text))
    figure = figures(w)[0]
    assert [group.title for group in figure.shown][:3] == ["a", "b", "c"]
    assert [group.title for group in figure.folded] == ["d", "random"]
    assert "2 more estimators" in assert_sound(page_of(w.connection(), section))


def test_a_copy_of_the_test_image_helps_it_most(tmp_path: Path) -> None:
    """From a file with a planted copy to the first picture of the page."""
    generator = np.random.default_rng(3)
    marks = np.arange(40) % 2
    images = generator.integers(0, 256, (40, 6, 6), dtype=np.uint8)
    tests = generator.integers(0, 256, (4, 6, 6), dtype=np.uint8)
    images[17], marks[17] = tests[2], 0
    np.savez(tmp_path / "f.npz", x_train=images, y_train=marks, x_test=tests, y_test=[1, 0, 0, 1])
    study = changed(
        TINY,
        {
            "datasets": {"images": {"kind": "npz", "path": str(tmp_path / "f.npz")}},
            "models": {"linear": {"kind": "linear"}},
            "training.adam.steps": 400,
            "procedures.warm.steps": 100,
            "procedures.warm.train_points": {"kind": "indices", "indices": [17, 3, 4, 5]},
            "procedures.warm.test_points": {"kind": "all"},
        },
    )
    summary = run(study, tmp_path / "results")
    out = render(tmp_path / "results", summary.run_id, tmp_path / "page.html")
    html = out.read_text(encoding="utf-8")
    assert_sound(html)
    copied = png(tests[2][None])
    shown: dict[int, list[str]] = {}
    for figure in re.findall(r'<figure id="examples-\d+".*?</figure>', html, re.DOTALL):
        point = int(re.search(r"test point (\d+)", figure)[1])  # type: ignore[index]
        shown[point] = re.findall(r"data:image/png;base64,([^\"]+)", figure)
    assert shown[2][:2] == [copied, copied]
    assert shown[2].count(copied) == 3  # Itself, by the score, and by the effect.
    assert all(pictures[0] != copied for point, pictures in shown.items() if point != 2)
    (score,) = rows(tmp_path / "results", "SELECT max(score) FROM scores WHERE test_point = 2")[0]
    assert signed(score) in html
    cards = _first(summary.run_id, tmp_path / "results")
    assert cards.ends[0].helpful[0].point == cards.ends[-1].helpful[0].point == 17


def _first(run_id: str, root: Path) -> Shown:
    """What is shown of test point 2."""
    from fragility.store.queries import connect

    with connect(root, run_id) as connection:
        found = gather(Context(Source(connection, run_id)))
    return next(one for one in found if one.tested.point == 2)
