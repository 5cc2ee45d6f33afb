"""A run held against published numbers: which rows are taken, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fragility.references import load_reference
from fragility.references.comparison import AGREES, NOT_MEASURED, NOT_THERE, Held
from fragility.report.context import Context
from fragility.report.figures.published import Series, frame_of, means, strips
from fragility.report.page import page
from fragility.report.published import Against, Setting, against
from fragility.report.published_words import counts, record, words
from fragility.report.sections import head, rank
from fragility.report.sections import published as section
from fragility.report.source import Source
from tests.report import world

STUDY = """\
study: quickstart
reference:
  name: epifano-2023
  settings:
    - {family: IRIS/figure1_l2_selu, setting: "depth_{models.mlp.depth}", estimator: published}
"""
L2 = load_reference("epifano-2023").families["IRIS/figure1_l2_selu"].settings
DEPTHS = (1, 2)


def store(
    correlations: Mapping[int, Sequence[Sequence[float | None]]],
    *,
    text: str = STUDY,
    overrides: Sequence[str] = (),
    eigenvalues: Sequence[tuple[float, float | None]] = (),
    accuracy: float | None = None,
) -> world.World:
    """A run of one estimator: at each depth, of every repeat the Spearman of each test point."""
    made = world.World()
    made.add("runs", world.run_row(study_text=text, overrides=json.dumps(list(overrides))))
    for depth, repeats in correlations.items():
        for repeat, points in enumerate(repeats):
            cell = f"c-{depth}-{repeat}"
            factors = json.dumps({"models.mlp.depth": depth})
            made.row("cells", cell_id=cell, study="quickstart", dataset="iris", model="mlp",
                     regularization="l2", training="adam", repeat=repeat, seed=0,
                     factors=factors, arm=f"depth={depth}")  # fmt: skip
            for estimator in ("published", "other"):
                made.row("arms", cell_id=cell, estimator=estimator, procedure="warm")
                for point, value in enumerate(points):
                    if value is not None and estimator == "other":
                        value = -0.9
                    made.row("agreements", cell_id=cell, estimator=estimator, procedure="warm",
                             test_point=point, metric="spearman", weighting="raw", value=value,
                             n=25)  # fmt: skip
                made.row("agreements", cell_id=cell, estimator=estimator, procedure="warm",
                         metric="spearman", weighting="raw", value=0.0, n=25)  # fmt: skip
            if eigenvalues:
                top, bottom = eigenvalues[repeat]
                for task, value in (("top", top), ("bottom", bottom)):
                    if value is not None:
                        made.row("diagnostics", cell_id=cell, task_id=f"{task}-{cell}",
                                 name=f"hessian_{task}_eigenvalue", value=value)  # fmt: skip
                        made.row("tasks", task_id=f"{task}-{cell}", cell_id=cell, kind="diagnose")
            if accuracy is not None:
                made.row("trainings", task_id=f"t-{cell}", cell_id=cell, role="base",
                         train_accuracy=accuracy)  # fmt: skip
    return made


def held(made: world.World) -> Against:
    found = against(Source(made.connection(), world.RUN))
    assert found is not None
    return found


def by_name(found: Against) -> dict[tuple[str, str], Held]:
    return {(setting.name, one.quantity): one for setting, one in found.lines}


def test_a_run_that_repeats_the_published_values() -> None:
    values = {d: [[v] for v in L2[f"depth_{d}"].values["spearman"]] for d in DEPTHS}
    found = by_name(held(store(values, accuracy=147 / 149)))
    assert found["depth_1", "train_accuracy"].verdict == AGREES
    for depth in DEPTHS:
        one = found[f"depth_{depth}", "spearman"]
        assert one.difference.value == 0
        assert one.ranks.p == pytest.approx(1)
        assert one.ours.values == one.published.values
        assert one.ours.chance == one.published.chance == pytest.approx(0.1646, abs=1e-4)
        assert found[f"depth_{depth}", "pearson"].verdict == NOT_MEASURED


def test_of_several_test_points_the_median_of_sizes_is_taken_and_never_the_pooled_value() -> None:
    points = [[-0.9, 0.2, 0.4], [0.1, None, -0.3]]
    one = by_name(held(store({1: points})))["depth_1", "spearman"]
    assert one.ours.values == (0.4, 0.2)
    signed = STUDY.replace("estimator: published", "estimator: published, absolute: false")
    one = by_name(held(store({1: points}, text=signed)))["depth_1", "spearman"]
    assert one.ours.values == (0.2, -0.1)


def test_repeats_without_a_value_are_counted() -> None:
    one = by_name(held(store({1: [[0.5], [None], [0.6]]})))["depth_1", "spearman"]
    assert (one.ours.values, one.ours.left_out) == ((0.5, 0.6), 1)


def test_the_eigenvalue_is_the_larger_in_size_whatever_its_sign() -> None:
    made = store({1: [[0.5], [0.6]]}, eigenvalues=[(2.0, -3.0), (4.0, -1.0)], accuracy=0.99)
    found = by_name(held(made))
    assert found["depth_1", "hessian_top_eigenvalue"].ours.values == (3.0, 4.0)
    assert found["depth_1", "train_accuracy"].ours.values == (0.99, 0.99)
    assert not held(made).top_only
    assert held(store({1: [[0.5]]}, eigenvalues=[(2.0, None)])).top_only


def test_eigenvalues_that_an_estimator_noted_are_not_the_models() -> None:
    made = store({1: [[0.5]]}, eigenvalues=[(2.0, -1.0)])
    made.row("diagnostics", cell_id="c-1-0", task_id="e", name="hessian_top_eigenvalue", value=99.0)
    made.row("tasks", task_id="e", cell_id="c-1-0", kind="estimate", estimator="published")
    assert by_name(held(made))["depth_1", "hessian_top_eigenvalue"].ours.values == (2.0,)


def test_what_no_estimator_enters_is_compared_once() -> None:
    twice = STUDY + STUDY.splitlines()[-1].replace("published", "other") + "\n"
    made = store({1: [[0.5]]}, text=twice, eigenvalues=[(2.0, -1.0)], accuracy=1.0)
    settings = [(setting.judge, one.quantity) for setting, one in held(made).lines]
    assert len(settings) == len(set(settings))
    assert [judge for judge, quantity in settings if quantity == "spearman"] == [
        ("published", "warm"),
        ("other", "warm"),
    ]
    assert sum(quantity == "train_accuracy" for _, quantity in settings) == 1


def test_numbers_that_are_not_there_are_said_to_be_missing() -> None:
    held_back = STUDY.replace("figure1_l2_selu", "figure1_width_l2_selu")
    one = by_name(held(store({1: [[0.5]]}, text=held_back)))["depth_1", "spearman"]
    assert one.verdict == NOT_THERE
    assert one.ours.values == (0.5,)
    beyond = by_name(held(store({9: [[0.5]]})))["depth_9", "spearman"]
    assert beyond.verdict == NOT_THERE


def test_tests_are_corrected_over_the_settings() -> None:
    rng = np.random.default_rng(0)
    ours = {d: rng.uniform(0.4, 0.8, (10, 1)).round(3).tolist() for d in DEPTHS}
    found = by_name(held(store(ours)))
    raw = []
    for depth in DEPTHS:
        published = np.abs(np.array(L2[f"depth_{depth}"].values["spearman"], dtype=float)).round(6)
        raw.append(stats.mannwhitneyu(np.ravel(ours[depth]), published).pvalue)
        assert found[f"depth_{depth}", "spearman"].ranks.p == pytest.approx(raw[-1])
    smaller = DEPTHS[int(np.argmin(raw))]
    corrected = found[f"depth_{smaller}", "spearman"].ranks.corrected
    assert corrected == pytest.approx(min(1, 2 * min(raw)))


def test_a_family_counts_the_settings_that_have_runs_enough() -> None:
    ours = {1: [[v / 10] for v in range(5)], 2: [[0.5]] * 5, 3: [[0.5]] * 4}
    ((setting, one),) = held(store(ours)).families
    assert (setting.name, setting.arm) == ("2 of 3 depths", "")
    assert one.ours.runs == 10


def test_overrides_reach_the_reference_and_are_told() -> None:
    changed = held(
        store(
            {1: [[-0.5]]},
            overrides=[
                "training.adam.steps=10",
                "repeats=1",
                "reference.settings.0.absolute=false",
            ],
        )
    )
    assert changed.overrides == ("training.adam.steps=10",)
    assert by_name(changed)["depth_1", "spearman"].ours.values == (-0.5,)


@pytest.mark.parametrize("text", ["study: quickstart\n", "reference: {name: other}\n", ": ["])
def test_without_a_reference_there_is_nothing_to_hold_against(text: str) -> None:
    made = store({1: [[0.5]]}, text=text)
    assert against(Source(made.connection(), world.RUN)) is None


def test_words_and_records_have_the_same_numbers() -> None:
    made = store({1: [[v] for v in (0.5, 0.6, 0.7, 0.8, 0.55)]})
    found = held(made)
    (setting, one), *_ = found.lines
    assert isinstance(setting, Setting)
    told = words(setting, one)
    assert (told.quantity, told.ours) == ("|Spearman|", "0.600 (5)")
    assert told.published == f"{one.published.median:.3f} (50)"
    plain = json.loads(json.dumps(record(setting, one)))
    assert plain["ours"]["median"] == 0.6
    assert plain["published"]["runs"] == 50
    assert plain["difference"]["value"] == one.difference.value
    assert counts(found.lines).startswith("Of 4 comparisons, ")


def shown(made: world.World) -> Any:
    return section.section(Context(Source(made.connection(), world.RUN)))


def test_without_a_reference_there_is_no_section(quickstart: str) -> None:
    found = shown(store({1: [[0.5]]}, text="study: quickstart\n"))
    assert (found.title, found.data) == ("", {"found": None})
    assert 'id="published"' not in quickstart
    assert "Against the published numbers" not in quickstart


def test_the_section_has_the_papers_figures_and_every_comparison() -> None:
    rng = np.random.default_rng(0)
    ours = {d: rng.uniform(0.3, 0.9, (6, 1)).tolist() for d in (1, 2, 3)}
    made = store(
        ours, eigenvalues=[(2.0 + i, -1.0) for i in range(6)], accuracy=1.0, overrides=["seed=3"]
    )
    found = shown(made)
    assert found.title == "Against the published numbers"
    titles = [chart.title for chart in found.data["charts"]]
    assert titles == [
        "|Spearman| against depth (the paper's figure 1)",
        "|Pearson| against depth",
        "top eigenvalue against depth (the paper's figure 3)",
    ]
    panels = [panel.title for panel in found.data["charts"][0].panels]
    assert panels == ["means of runs", "every run"]
    assert [key.label for key in found.data["charts"][0].keys][:2] == ["published", "ours"]
    # Nothing of ours was measured: only what is published is drawn.
    assert "ours 0" not in found.data["charts"][1].reading
    assert len(found.data["rows"]) == 3 * 4
    families = [(row.setting, row.judge, row.quantity) for row in found.data["families"]]
    assert families == [
        ("3 depths", "published · warm", "|Spearman|"),
        ("3 depths", "", "top eigenvalue"),
        ("3 depths", "", "train accuracy"),
    ]
    assert found.data["lead"][0].startswith("Iris by depth, weight decay 0.005, SELU: |Spearman| ")
    assert any("This run overrides its study: `seed=3`" in line for line in found.data["lead"])
    first = found.data["charts"][0]
    means_of = [np.abs(L2[f"depth_{d}"].values["spearman"]).mean() for d in (1, 3)]
    assert f"published {means_of[0]:.3f} to {means_of[1]:.3f}" in first.reading
    assert f"ours {np.mean(ours[1]):.3f} to {np.mean(ours[3]):.3f}" in first.reading


def test_several_families_stand_in_panels_of_their_side() -> None:
    another = STUDY.splitlines()[-1].replace("l2_selu", "l2_tanh")
    held_back = STUDY.splitlines()[-1].replace("l2_selu", "width_l2_selu")
    text = "\n".join((STUDY + another, held_back, ""))
    charts = shown(store({1: [[0.5], [0.6]], 2: [[0.4], [0.3]]}, text=text)).data["charts"]
    assert charts[1].title == "|Spearman|, ours beside published"
    chart = charts[0]
    assert [panel.title for panel in chart.panels] == ["published", "ours"]
    labels = [key.label for key in chart.keys]
    assert labels[:3] == [
        "Iris by depth, weight decay 0.005, SELU",
        "Iris by depth, weight decay, tanh",
        "Iris by width, weight decay 0.005, SELU",
    ]
    assert len({key.token for key in chart.keys[:3]}) == 3
    assert "unrelated lists give 0.165 on average" in labels


def test_widths_that_are_held_back_are_drawn_from_ours_alone() -> None:
    text = STUDY.replace("figure1_l2_selu", "figure1_width_l2_selu").replace("depth_{", "width_{")
    found = shown(store({8: [[0.5], [0.6]], 14: [[0.4], [0.3]]}, text=text))
    (chart,) = found.data["charts"]
    assert chart.title == "|Spearman| against width (the paper's figure 1)"
    assert chart.reading.endswith(" Of 2 comparisons, 2 are not in the reference.")
    assert {row.verdict for row in found.data["rows"]} == {NOT_THERE}


def test_every_run_is_drawn_and_the_mean_where_it_is() -> None:
    runs = {"1": [0.2, 0.3, 0.7], "2": [0.5]}
    series = [Series("a", "soft", "s", runs), Series("b", "c1", "o", {"2": [0.9, 0.8]})]
    frame = frame_of(
        series, ["1", "2"], "depth", "rho", "|spearman|", logarithmic=False, chance=0.165
    )
    assert frame.low < 0 < 0.9 < frame.high
    drawn = strips(series, frame, name="s", title="runs")
    # matplotlib draws every point as a <use> of one marker; ticks are the other ones.
    ticks = means([], frame, name="e", title="empty").count("<use")
    assert drawn.count("<use") - ticks == 6
    assert means(series, frame, name="m", title="means").count("<use") - ticks == 3


def test_the_page_has_the_section(published_page: str) -> None:
    assert '<section id="published">' in published_page
    assert '<a href="#published">Against the published numbers</a>' in published_page
    assert 'href="#rank"' in published_page
    assert "nan" not in published_page.split('<section id="published">')[1].split("</section>")[0]


@pytest.fixture(scope="module")
def published_page() -> str:
    made = world.depths(4)
    text = STUDY.replace("estimator: published", "where: {regularization: l2}, procedure: warm")
    made.rows["runs"] = [world.run_row(study_text=text)]
    with pytest.MonkeyPatch.context() as patch:
        sections = (head.section, rank.section, section.section)
        patch.setattr("fragility.report.page.SECTIONS", sections)
        return page(made.connection(), world.RUN)
