"""A study's `reference`: which cells it means, and what of it changes nothing."""

from __future__ import annotations

import pytest

from fragility.plan.catalog import Catalog
from fragility.plan.compile import compile_study
from fragility.references.declared import QUANTITIES, ReferenceSetting
from tests.study.studies import STUDY, load, problems

DIAGNOSTICS = "diagnostics: [gradient_norm]\n"
SWEEP = "sweep: {models.mlp.depth: [1, 2]}\n"
REFERENCE = """\
reference:
  name: epifano-2023
  settings:
    - family: IRIS/figure1_l2_selu
      setting: depth_{models.mlp.depth}
      where: {regularization: l2}
"""
FULL = STUDY + DIAGNOSTICS + SWEEP + REFERENCE


def test_only_estimator_procedure_and_all_quantities_are_understood() -> None:
    reference = load(FULL).study.reference
    assert reference is not None
    (setting,) = reference.settings
    assert setting.quantities == QUANTITIES
    assert setting.absolute
    assert (setting.estimator, setting.procedure) == (None, None)


def test_a_reference_changes_no_task_and_no_plan() -> None:
    with_it, without = load(FULL), load(STUDY + DIAGNOSTICS + SWEEP)
    plans = [compile_study(one, Catalog(one.directory)) for one in (with_it, without)]
    assert plans[0].plan_id == plans[1].plan_id


def test_cells_are_picked_by_labels_and_swept_values() -> None:
    setting = ReferenceSetting(
        family="f",
        setting="{models}_{models.mlp.depth}_{training}",
        where={"regularization": ["l2", "none"], "models.mlp.depth": 2},
    )
    facts = {"models": "mlp", "regularization": "l2", "training": "adam", "models.mlp.depth": 2}
    assert setting.named(facts) == "mlp_2_adam"
    assert setting.named(facts | {"models.mlp.depth": 1}) is None
    assert setting.named(facts | {"regularization": "l1"}) is None
    # A value swept in one model is no value of another: such a cell is not meant.
    assert setting.named({"models": "linear", "regularization": "l2", "training": "adam"}) is None


def test_a_swept_list_is_a_value_of_its_own() -> None:
    setting = ReferenceSetting(family="f", setting="s", where={"datasets.iris.hold_out": [[1], 2]})
    assert setting.named({"datasets.iris.hold_out": [1]}) == "s"
    assert setting.named({"datasets.iris.hold_out": 1}) is None


@pytest.mark.parametrize("depth", ["[1]", "[3]", "[20, 30]"])
def test_a_sweep_from_the_command_line_need_not_hold_what_is_referred_to(depth: str) -> None:
    text = FULL.replace("{regularization: l2}", "{models.mlp.depth: [1, 2]}")
    load(text, f"sweep.models.mlp.depth={depth}")


def test_a_setting_that_some_cells_have_no_numbers_for_is_legal() -> None:
    # The reference ends at depth 8, and has nothing at depth 4 without a penalty under tanh.
    load(FULL.replace("[1, 2]", "[8, 9]"))
    load(FULL.replace("[1, 2]", "[3, 4]").replace("l2_selu", "nol2_tanh"))


def test_numbers_that_are_held_back_are_legal() -> None:
    load(FULL.replace("figure1_l2_selu", "figure1_width_l2_selu"))


def test_overrides_reach_into_the_list() -> None:
    reference = load(FULL, "reference.settings.0.absolute=false").study.reference
    assert reference is not None
    assert not reference.settings[0].absolute


def test_an_empty_list_is_refused_once() -> None:
    empty = FULL.split("  settings:")[0] + "  settings: []\n"
    (found,) = problems(empty)
    assert found.endswith("reference.settings: expected at least 1 entry, got none.")
