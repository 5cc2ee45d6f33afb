"""`--set PATH=VALUE`."""

import pytest

from fragility.study.cells import cells
from tests.study.studies import STUDY, load, problems

SWEPT = STUDY + "sweep: [{models.mlp.depth: [1, 2, 3], models.mlp.width: [4, 5, 6]}]\n"


def test_values_are_yaml_and_paths_go_anywhere():
    study = load(
        STUDY,
        "repeats=3",
        "title='Two words: three'",
        "training.adam.optimizer.learning_rate=1e-2",
        "metrics=[spearman]",
        "datasets.iris.hold_out.0=7",
        "datasets.iris.subset.train=50",
        "training.adam.schedule={kind: plateau, patience: 5}",
        "training.adam.schedule.patience=6",
    ).study
    assert study.repeats == 3
    assert study.title == "Two words: three"
    assert study.training["adam"].optimizer.learning_rate == 0.01
    assert [metric.kind for metric in study.metrics] == ["spearman"]
    assert study.datasets["iris"].hold_out == (7,)
    assert study.datasets["iris"].subset.train == 50
    assert study.training["adam"].schedule.patience == 6


def test_the_later_of_two_wins():
    assert load(STUDY, "repeats=3", "repeats=4").study.repeats == 4


def test_an_override_mends_the_file():
    assert problems(STUDY.replace("repeats: 2", "repeats: two"), "repeats=2") == []


def test_swept_values_are_set_as_a_list():
    loaded = load(
        SWEPT,
        "sweep.models.mlp.depth=[7]",
        "sweep.models.mlp.width=[8]",
        "models.linear={kind: linear}",
    )
    assert {cell.arm for cell in cells(loaded)} == {
        "linear / none",
        "linear / l2",
        "mlp / none",
        "mlp / l2",
    }


def test_the_text_and_the_overrides_are_kept_apart():
    loaded = load(STUDY, "repeats=3")
    assert loaded.text == STUDY
    assert loaded.overrides == ("repeats=3",)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("repeats=x", "--set repeats=x: expected a whole number, got the text `x`."),
        ("repeats=", "--set repeats=: expected a whole number, got nothing."),
        ("repeats", "--set repeats: there is no `=`. Write `--set PATH=VALUE`."),
        (
            "repeat=3",
            "--set repeat=3: `repeat` names nothing: a study has no key `repeat`. "
            "Did you mean `repeats`?",
        ),
        (
            "models.mpl.depth=3",
            "--set models.mpl.depth=3: `models.mpl.depth` names no model `mpl`. "
            "Did you mean `mlp`? Models here: `linear`, `mlp`.",
        ),
        (
            "models.mlp.dept=3",
            "--set models.mlp.dept=3: `models.mlp.dept` names nothing: `mlp` has no key `dept`. "
            "Did you mean `depth`?",
        ),
        (
            "training.adam.optimizer.learning_rat=3",
            "--set training.adam.optimizer.learning_rat=3: "
            "`training.adam.optimizer.learning_rat` names nothing: `adam` has no key "
            "`learning_rat`. Did you mean `learning_rate`?",
        ),
        (
            "datasets.iris.hold_out.1=3",
            "--set datasets.iris.hold_out.1=3: `datasets.iris.hold_out.1` names nothing: "
            "`hold_out` has no key `1`.",
        ),
        (
            "models.mlp={kind: mlp, hiden: [3]}",
            "--set models.mlp={kind: mlp, hiden: [3]}: models.mlp.hiden: unknown key. "
            "Did you mean `hidden`?",
        ),
        (
            "title=[1",
            "--set title=[1: this `[` is not closed: expected `,` or `]` at line 1, column 3.",
        ),
        (
            "title=!!python/none x",
            "--set title=!!python/none x: the tag `!!python/none` is refused",
        ),
    ],
)
def test_problems_name_the_option(override, expected):
    (found,) = problems(STUDY, override)
    assert found.startswith(f"0:0 {expected}")


def test_a_swept_path_is_not_silently_overridden():
    assert problems(SWEPT, "models.mlp.depth=3", "sweep.models.mlp.dept=[1]") == [
        "0:0 --set models.mlp.depth=3: `models.mlp.depth` is swept. "
        "Set `sweep.models.mlp.depth` to a list.",
        "0:0 --set sweep.models.mlp.dept=[1]: `models.mlp.dept` is not swept. Did you mean "
        "`models.mlp.depth`? Swept here: `models.mlp.depth`, `models.mlp.width`.",
    ]


def test_problems_of_file_and_options_come_together():
    found = problems(STUDY.replace("steps: 100", "steps: many"), "repeats=x")
    assert [text.split(":")[0] for text in found] == ["0", "15"]
