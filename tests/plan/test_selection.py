"""`--select` and `--exclude`."""

from __future__ import annotations

import pytest

from fragility.errors import UsageError
from fragility.plan.selection import select
from tests.tiny import TINY, changed, plan

PLAN = plan(
    changed(
        TINY,
        {
            "estimators.more": {"kind": "exact", "damping": 1},
            "models.linear": {"kind": "linear"},
            "procedures.last": {**TINY["procedures"]["warm"], "parameters": "last_layer"},
        },
    )
)


def kinds(*wanted: str, without: tuple[str, ...] = ()) -> dict[str, int]:
    found = [PLAN.tasks[i].kind for i in select(PLAN, wanted, without)]
    return {kind: found.count(kind) for kind in found}


def test_nothing_said_is_everything() -> None:
    assert select(PLAN, (), ()) == PLAN.tasks.keys()


def test_what_is_wanted_adds_up_and_what_is_excluded_is_taken_away() -> None:
    assert kinds("kind:train") == {"train": 2}
    assert kinds("kind:train", "kind:diagnose") == {"train": 2, "diagnose": 2}
    assert kinds("estimator:more") == {"estimate": 2, "measure": 4}
    assert kinds("procedure:last", without=("kind:measure",)) == {"retrain": 10}
    assert kinds("cell:linear", without=("kind:retrain", "kind:measure")) == {
        "train": 1,
        "estimate": 2,
        "diagnose": 1,
    }
    cell = next(cell for cell in PLAN.cells if cell.cell.model_label == "net")
    assert kinds(f"cell:{cell.cell_id[:12]}") == kinds("cell:net")


def test_a_plus_adds_what_is_needed() -> None:
    assert kinds("+estimator:more") == {"train": 2, "estimate": 2, "retrain": 20, "measure": 4 + 4}
    chosen = select(PLAN, ("+procedure:last",), ())
    for task_id in chosen:
        assert chosen.issuperset(PLAN.tasks[task_id].inputs)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("train", "`train` is not a selection"),
        ("knd:train", "Did you mean `kind`?"),
        ("kind:retrian", "Did you mean `retrain`?"),
        ("estimator:exat", "selects no task. Did you mean `exact`?"),
        ("procedure:cold", "Here: `last`, `warm`."),
        ("cell:conv", "Here: `linear`, `net`."),
    ],
)
def test_a_wrong_word_is_an_error_that_says_the_right_ones(wanted: str, message: str) -> None:
    for arguments in ([(wanted,), ()], [(), (wanted,)]):
        with pytest.raises(UsageError) as error:
            select(PLAN, *arguments)
        assert message in str(error.value)


def test_an_empty_rest_is_an_error() -> None:
    with pytest.raises(UsageError, match="leaves no task"):
        select(PLAN, ("kind:train",), ("cell:net", "cell:linear"))
