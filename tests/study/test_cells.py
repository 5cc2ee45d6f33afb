"""Cells: which there are, in which order, and what they hold."""

import time

import pytest

from fragility.study.cells import cells, shortest_tails
from tests.study.studies import STUDY, load


def test_the_product_in_the_order_of_the_file_with_repeats_fastest():
    found = cells(load())
    assert [(c.model_label, c.regularization_label, c.repeat) for c in found] == [
        (model, regularization, repeat)
        for model in ("linear", "mlp")
        for regularization in ("none", "l2")
        for repeat in (0, 1)
    ]


def test_a_cell_holds_its_parts():
    loaded = load(STUDY, "seed=11")
    cell = cells(loaded)[-1]
    study = loaded.study
    assert (cell.study, cell.seed, cell.repeat) == ("depth", 11, 1)
    assert cell.dataset == study.datasets["iris"]
    assert cell.model == study.models["mlp"]
    assert cell.regularization.members == (study.regularization["l2"],)
    assert cell.training == study.training["adam"]
    assert cell.estimators == study.estimators
    assert cell.procedures == study.procedures
    assert (cell.metrics, cell.diagnostics) == (study.metrics, study.diagnostics)
    assert cell.factors == {}


def test_a_swept_value_reaches_only_its_own_part():
    found = cells(load(STUDY + "sweep: {models.mlp.depth: [1, 2, 3]}\n"))
    linear = [cell for cell in found if cell.model_label == "linear"]
    mlp = [cell for cell in found if cell.model_label == "mlp"]
    assert len(linear) == 2 * 2
    assert all(cell.factors == {} for cell in linear)
    assert len(mlp) == 2 * 3 * 2
    assert {cell.model.depth for cell in mlp} == {1, 2, 3}
    assert all(cell.factors == {"models.mlp.depth": cell.model.depth} for cell in mlp)


def test_equal_combinations_are_one_cell():
    text = "sweep: [{models.mlp.depth: [1, 1, 2], regularization.l2.strength: [3, 4, 4]}]\n"
    found = cells(load(STUDY + text, "repeats=1"))
    assert [(c.model_label, c.regularization_label, c.factors) for c in found] == [
        ("linear", "none", {}),
        ("linear", "l2", {"regularization.l2.strength": 3}),
        ("linear", "l2", {"regularization.l2.strength": 4}),
        ("mlp", "none", {"models.mlp.depth": 1}),
        ("mlp", "none", {"models.mlp.depth": 2}),
        ("mlp", "l2", {"models.mlp.depth": 1, "regularization.l2.strength": 3}),
        ("mlp", "l2", {"models.mlp.depth": 1, "regularization.l2.strength": 4}),
        ("mlp", "l2", {"models.mlp.depth": 2, "regularization.l2.strength": 4}),
    ]


def test_estimators_and_procedures_vary_in_every_cell():
    text = "sweep: {estimators.exact.damping: [0, 1], procedures.warm.steps: [5, 6]}\n"
    found = cells(load(STUDY + text, "repeats=1"))
    assert len(found) == 4 * 4
    pairs = [(c.estimators["exact"].damping, c.procedures["warm"].steps) for c in found[:4]]
    assert pairs == [(0, 5), (0, 6), (1, 5), (1, 6)]


@pytest.mark.parametrize(
    ("sweep", "arms"),
    [
        ("{}", ["linear / none", "linear / l2", "mlp / none", "mlp / l2"]),
        (
            "{models.mlp.depth: [1, 2]}",
            [
                "linear / none",
                "linear / l2",
                "mlp / none / depth=1",
                "mlp / none / depth=2",
                "mlp / l2 / depth=1",
                "mlp / l2 / depth=2",
            ],
        ),
        ("{models.mlp.depth: [2]}", ["linear / none", "linear / l2", "mlp / none", "mlp / l2"]),
    ],
)
def test_arms_name_what_varies(sweep, arms):
    found = cells(load(f"{STUDY}sweep: {sweep}\n"))
    assert list(dict.fromkeys(cell.arm for cell in found)) == arms


def test_an_arm_belongs_to_one_setting():
    text = "sweep: {models.mlp.depth: [1, 2], models.mlp.activation: [tanh, gelu]}\n"
    found = cells(load(STUDY + text))
    settings = {(c.arm, c.model_label, c.regularization_label, c.model) for c in found}
    assert len(settings) == len({cell.arm for cell in found}) == len(found) / 2


def test_an_arm_is_never_empty():
    text = STUDY.replace("  linear: {kind: linear}\n", "").replace("  none: {kind: none}\n", "")
    assert {cell.arm for cell in cells(load(text))} == {"mlp"}


def test_values_in_arms_are_written_as_in_yaml():
    text = "sweep: {training.adam.schedule: [{kind: none}, {kind: plateau, patience: 3}]}\n"
    assert cells(load(STUDY + text))[-1].arm == "mlp / l2 / schedule={kind: plateau, patience: 3}"


def test_tails_are_as_short_as_they_can_be():
    assert shortest_tails(["models.a.depth", "models.b.depth", "training.t.steps", "x.steps"]) == {
        "models.a.depth": "a.depth",
        "models.b.depth": "b.depth",
        "training.t.steps": "t.steps",
        "x.steps": "x.steps",
    }


def test_the_order_does_not_change():
    text = STUDY + "sweep: {models.mlp.depth: [3, 1, 2]}\n"
    first, second = (
        [(c.arm, c.repeat, dict(c.factors)) for c in cells(load(text))] for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("sweep", "repeats", "count", "seconds"),
    [
        ("{models.mlp.depth: [1, 2, 3, 4, 5, 6, 7, 8]}", 50, 800, 0.3),
        (
            f"{{models.mlp.depth: {list(range(1, 101))}, models.mlp.width: {list(range(1, 101))}}}",
            1,
            10_000,
            2,
        ),
    ],
)
def test_many_cells_are_quick(sweep, repeats, count, seconds):
    text = STUDY.replace("  linear: {kind: linear}\n", "")
    if repeats == 1:
        text = text.replace("  none: {kind: none}\n", "")
    text = f"{text}sweep: {sweep}\n"
    begin = time.perf_counter()
    found = cells(load(text, f"repeats={repeats}"))
    assert len(found) == count
    # The stated limit is for a machine of its own; a loaded one gets some more.
    assert time.perf_counter() - begin < 3 * seconds
