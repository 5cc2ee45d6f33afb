"""Which example order a training draws, and what of it enters the tasks' ids."""

from __future__ import annotations

from typing import Any

from fragility.plan import Task
from fragility.plan.identities import training_digest
from fragility.training.full_batch import FullBatch
from fragility.training.minibatch import Minibatch
from tests.tiny import TINY, changed, plan

POINTS = {"kind": "indices", "indices": [5, 2]}
STUDY = changed(
    TINY,
    {
        "repeats": 2,
        "training": {"mini": {"kind": "minibatch", "batch_size": 8, "epochs": 3}},
        "procedures.warm": {
            "kind": "leave_one_out",
            "train_points": POINTS,
            "test_points": {"kind": "all"},
        },
    },
)
SHARED = plan(STUDY)
INDEPENDENT = plan(changed(STUDY, {"training.mini.order": "independent"}))


def trainings(planned: Any, kind: str, repeat: int = 0) -> list[Task]:
    return [
        task
        for task in planned.placements
        if task.kind == kind and planned.cells[task.cell].cell.repeat == repeat
    ]


def test_in_a_shared_order_all_follow_their_own_base_model() -> None:
    seeds = []
    for repeat in range(2):
        (base,) = trainings(SHARED, "train", repeat)
        retrained = {task.order_seed for task in trainings(SHARED, "retrain", repeat)}
        assert retrained == {base.order_seed}
        seeds.append(base.order_seed)
    assert len(set(seeds)) == 2


def test_independent_orders_differ_from_each_other_and_leave_the_base_model_as_it_is() -> None:
    base = [task.task_id for task in trainings(SHARED, "train")]
    assert [task.task_id for task in trainings(INDEPENDENT, "train")] == base
    seeds = [t.order_seed for r in range(2) for t in trainings(INDEPENDENT, "retrain", r)]
    seeds += [t.order_seed for r in range(2) for t in trainings(INDEPENDENT, "train", r)]
    assert len(set(seeds)) == len(seeds) == 8


def test_an_order_is_the_same_wherever_it_is_written() -> None:
    written = changed(STUDY, {"procedures.warm.order": "independent"})
    assert plan(written).tasks.keys() == INDEPENDENT.tasks.keys()
    both = changed(written, {"training.mini.order": "independent"})
    assert plan(both).tasks.keys() == INDEPENDENT.tasks.keys()


def test_more_points_and_replicates_keep_the_orders_there_are() -> None:
    def seeds(**fields: Any) -> dict[str, int | None]:
        warm = {**STUDY["procedures"]["warm"], "order": "independent", **fields}
        planned = plan(changed(STUDY, {"procedures.warm": warm}))
        return {task.task_id: task.order_seed for task in trainings(planned, "retrain")}

    few, more = seeds(), seeds(train_points={"kind": "all"}, replicates=3)
    assert few.items() < more.items()
    assert len(set(more.values())) == len(more) == 3 * (1 + 35)


def test_a_shorter_retraining_sees_the_same_batches() -> None:
    shorter = plan(changed(INDEPENDENT_STUDY, {"procedures.warm.epochs": 1}))
    long, short = trainings(INDEPENDENT, "retrain"), trainings(shorter, "retrain")
    assert [task.order_seed for task in long] == [task.order_seed for task in short]
    assert {task.task_id for task in long}.isdisjoint(task.task_id for task in short)


INDEPENDENT_STUDY = changed(STUDY, {"training.mini.order": "independent"})


def test_full_batches_draw_no_order() -> None:
    assert {task.order_seed for task in plan(TINY).tasks.values()} == {None}
    steps = FullBatch(steps=3)
    assert training_digest(steps) != training_digest(FullBatch(steps=4))
    mini = Minibatch(batch_size=2, epochs=1)
    assert training_digest(mini) == training_digest(mini.ordered("independent"))
