"""Sweeps: which combinations there are, and what is wrong with them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragility.study.nodes import Node, Place
from fragility.study.sweep import Sweep, Swept
from tests.study.studies import STUDY, load, problems


def combinations(text, section, label, *fields):
    loaded = load(STUDY + text)
    return [
        tuple(getattr(part, name) for name in fields)
        for (where, name_, row), part in loaded.expansion.parts.items()
        if (where, name_) == (section, label)
    ]


def test_a_mapping_crosses_its_lists():
    text = "sweep: {models.mlp.depth: [1, 2, 3], models.mlp.width: [5, 6]}\n"
    found = combinations(text, "models", "mlp", "depth", "width")
    assert found == list(product([1, 2, 3], [5, 6]))


def test_lists_of_one_mapping_in_a_list_vary_together():
    text = "sweep: [{models.mlp.depth: [1, 8, 1], models.mlp.width: [5, 5, 20]}]\n"
    assert combinations(text, "models", "mlp", "depth", "width") == [(1, 5), (8, 5), (1, 20)]


def test_the_mappings_of_a_list_are_crossed():
    text = (
        "sweep:\n"
        "- {models.mlp.depth: [1, 8], models.mlp.width: [5, 6]}\n"
        "- {models.mlp.activation: [tanh, gelu]}\n"
    )
    found = combinations(text, "models", "mlp", "depth", "width", "activation")
    assert found == [(1, 5, "tanh"), (1, 5, "gelu"), (8, 6, "tanh"), (8, 6, "gelu")]


def test_a_whole_mapping_and_a_list_entry_can_be_swept():
    text = "sweep: {training.adam.optimizer: [{kind: adam}, {kind: sgd}]}\n"
    assert [part.kind for (part,) in combinations(text, "training", "adam", "optimizer")] == [
        "adam",
        "sgd",
    ]
    text = "sweep: {datasets.iris.hold_out.0: [1, 2]}\n"
    assert combinations(text, "datasets", "iris", "hold_out") == [((1,),), ((2,),)]


def test_the_study_holds_the_first_values():
    text = STUDY.replace(", depth: 1", "") + "sweep: {models.mlp.depth: [4, 5]}\n"
    assert load(text).study.models["mlp"].depth == 4


values = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(st.lists(values, max_size=4), st.sets(st.integers(0, 3)))
def test_restricting_first_is_crossing_first(columns, kept):
    def row(path, value):
        return (Swept.of(path, Node(Place(), value)),)

    axes = tuple(tuple(row(str(i), v) for v in column) for i, column in enumerate(columns))
    whole, part = Sweep(axes), Sweep(axes).restricted(lambda path: int(path) in kept)
    crossed = [tuple(s for s in combination if int(s.path) in kept) for combination in whole.rows()]
    assert list(part.rows()) == list(dict.fromkeys(crossed))
    assert len(part) == len(list(part.rows()))


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        (
            "{models.net.depth: [1]}",
            "24:9 sweep: `models.net.depth` names no model `net`. Models here: `linear`, `mlp`.",
        ),
        (
            "{model.mlp.depth: [1]}",
            "24:9 sweep: `model.mlp.depth` names nothing: a study has no key `model`. "
            "Did you mean `models`?",
        ),
        (
            "{models.mlp.dept: [1]}",
            "24:9 sweep: `models.mlp.dept` names nothing: `mlp` has no key `dept`. "
            "Did you mean `depth`?",
        ),
        (
            "{models.mlp.width.x: [1]}",
            "24:9 sweep: `models.mlp.width.x` names nothing: `width` has no key `x`.",
        ),
        (
            "{training.adam.schedule.patience: [1]}",
            "24:9 sweep: `training.adam.schedule.patience`: `training.adam.schedule` "
            "has no `kind` here.",
        ),
        (
            "{seed: [1]}",
            "24:9 sweep: `seed` cannot be swept, only what stands in `datasets`, `models`, "
            "`regularization`, `training`, `estimators`, `procedures`.",
        ),
        ("{models.mlp.depth: []}", "24:27 sweep.models.mlp.depth: the list of values is empty."),
        (
            "{models.mlp.depth: 3}",
            "24:27 sweep.models.mlp.depth: expected a list of values, got the number `3`.",
        ),
        (
            "[{models.mlp.depth: [1, 2], models.mlp.width: [1]}]",
            "24:36 sweep.models.mlp.width: 1 values, but `models.mlp.depth` has 2: "
            "the lists of one mapping vary together.",
        ),
        (
            "[{models.mlp.depth: [1]}, {models.mlp.depth: [2]}]",
            "24:35 sweep: `models.mlp.depth` is swept twice.",
        ),
        (
            "{models.mlp: [{kind: linear}], models.mlp.depth: [2]}",
            "24:39 sweep: `models.mlp.depth` lies in `models.mlp`, which is swept too.",
        ),
        ("5", "24:8 sweep: expected paths with lists, got the number `5`."),
        ("[5]", "24:9 sweep: expected paths with lists, got the number `5`."),
        (
            "{models.mlp.depth: [1, 2, x]}",
            "24:34 models.mlp.depth: expected a whole number, got the text `x`.",
        ),
        (
            "{estimators.exact.damping: [1, -1]}",
            "24:39 estimators.exact.damping: expected a number of at least 0 or a mapping, got the "
            "number `-1`.",
        ),
        (
            "{procedures.warm.train_points.estimator: [exact, exct]}",
            "24:57 procedures.warm.train_points.estimator: the study has no estimator `exct`. "
            "Did you mean `exact`? Estimators here: `exact`.",
        ),
        (
            "{models.mlp.width: [5, null]}",
            "7:20 models.mlp: give `hidden: [..]`, or both `width` and `depth`. "
            "Swept here: width=null.",
        ),
    ],
)
def test_problems_of_a_sweep(sweep, expected):
    assert problems(f"{STUDY}sweep: {sweep}\n") == [expected]


def test_a_sweep_that_explodes_is_refused_before_it_does():
    many = ", ".join(str(i) for i in range(1, 200))
    text = f"sweep: {{models.mlp.depth: [{many}], models.mlp.width: [{many}]}}\n"
    (found,) = problems(STUDY + text)
    assert found.startswith("24:8 sweep: the study has more than 100,000 cells")
    (found,) = problems(STUDY.replace("repeats: 2", "repeats: 1000000000"))
    assert found.startswith("2:10 repeats: the study has more than")
