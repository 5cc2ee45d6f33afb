"""The stop at the learning rate's floor: where it is, what it leaves out, and how it resumes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fragility.numerics.compilation import compiled
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start, Training, _compiling
from fragility.training.full_batch import FullBatch
from fragility.training.restraints import Averaging, Restraints
from fragility.training.schedules.plateau import Plateau
from tests.training import test_minibatch as batches
from tests.training.test_minibatch import Alone, Kept, problem, start, without_one

FLOOR = {"smallest_cut": 1e-5, "patience": 6, "threshold": 1e-3}
"""From a rate of 0.05 by factors of 10: the cut from 5e-5 to 5e-6 is made, the next one is not."""
LOWEST = 5e-6
DECAY = [[0.001], [0.005], [0.02]]


def plateau(stop: bool = True, **fields: Any) -> dict[str, Any]:
    return {"kind": "plateau", "stop_at_floor": stop, **FLOOR, **fields}


def on_full_batch(steps: int = 1200, rate: float = 0.05, **fields: Any) -> FullBatch:
    given = {"optimizer": {"kind": "adam", "learning_rate": rate}, "schedule": plateau(), **fields}
    return FullBatch.model_validate(
        {"kind": "full_batch", "steps": steps, "dtype": "float64", **given}
    )


def on_batches(epochs: int = 600, **fields: Any) -> Training:
    adam = {"kind": "adam", "learning_rate": 0.05}
    return batches.training(epochs=epochs, optimizer=adam, **{"schedule": plateau(), **fields})


def three() -> StackProblem:
    return problem(without_one([None] * 3), torch.tensor(DECAY, dtype=torch.float64))


def fit(stack: list[Any], **watchers: Any) -> Any:
    begin = Start(start(3)[: len(stack)], orders=[3] * len(stack))
    whole = three().select(slice(0, len(stack)))
    return stack[0].fit(stack, whole, begin, Recorder(**watchers))


class Floor:
    """torch's own scheduler, watched for the cut that it would make and does not."""

    def __init__(self, alone: Alone) -> None:
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            alone.optimizer, patience=6, threshold=1e-3, eps=1e-5
        )

    def step(self, loss: float) -> bool:
        """Takes note of a loss; returns whether the patience ran out at the lowest rate."""
        scheduler = self.scheduler
        bad, rate = scheduler.num_bad_epochs, scheduler.optimizer.param_groups[0]["lr"]
        best = scheduler.best
        scheduler.step(loss)
        ran_out = bad == 6 and scheduler.best == best and scheduler.num_bad_epochs == 0
        return ran_out and scheduler.optimizer.param_groups[0]["lr"] == rate


def alone(k: int) -> Alone:
    ones = torch.ones(30, dtype=torch.float64)
    return Alone(
        start(3)[k],
        ones,
        lambda p, d: torch.optim.Adam(p, lr=0.05, weight_decay=d),
        DECAY[k][0],
    )


@pytest.mark.parametrize("k", [0, 1, 2])
def test_on_the_full_batch_it_is_where_torch_s_scheduler_makes_no_cut(k: int) -> None:
    plain, steps = alone(k), 0
    floor, over = Floor(plain), False
    while not over:
        plain.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(plain.module(plain.inputs), plain.targets)
        loss.backward()
        plain.optimizer.step()
        over, steps = floor.step(loss.item()), steps + 1
    fused = fit([on_full_batch()] * 3)
    assert 40 < steps < 1200
    assert int(fused.steps[k]) == steps
    torch.testing.assert_close(fused.theta[k], plain.theta, rtol=0, atol=1e-9)


def test_under_minibatches_it_is_at_the_end_of_an_epoch() -> None:
    plain, epochs = alone(1), 0
    floor, over = Floor(plain), False
    while not over:
        over, epochs = floor.step(plain.epoch(3, epochs, 8)), epochs + 1
    fused = fit([on_batches()] * 3)
    assert 20 < epochs < 600
    assert int(fused.steps[1]) == 4 * epochs
    torch.testing.assert_close(fused.theta[1], plain.theta, rtol=0, atol=1e-9)


def test_what_is_left_out_moves_no_coordinate_further_than_the_rate_a_step() -> None:
    stopped, whole = fit([on_full_batch()] * 3), fit([on_full_batch(schedule=plateau(False))] * 3)
    assert whole.steps.tolist() == [1200] * 3
    furthest = (whole.theta - stopped.theta).abs().amax(dim=1)
    assert bool((furthest <= LOWEST * (1200 - stopped.steps)).all())
    assert bool((furthest > 0).all())


def test_a_model_that_does_not_stop_there_takes_all_steps_beside_others_that_do() -> None:
    stack = [on_full_batch(), on_full_batch(schedule=plateau(False)), on_full_batch(30)]
    fused = fit(stack)
    alone = [
        one.fit([one], three().select(slice(k, k + 1)), Start(start(3)[k : k + 1]), Recorder())
        for k, one in enumerate(stack)
    ]
    assert fused.steps.tolist() == [int(one.steps) for one in alone]
    assert fused.steps.tolist()[1:] == [1200, 30]
    for k, one in enumerate(alone):
        torch.testing.assert_close(fused.theta[k], one.theta[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("training", [on_full_batch, on_batches])
def test_an_interrupted_training_goes_on_with_the_same_bits(training: Any) -> None:
    stack = [training(), training(schedule=plateau(patience=9)), training(30)]
    undisturbed = fit(stack)
    first = int(undisturbed.steps.min())
    # As the first model stops, when it has left, and near the end.
    for at in (first + 1, first + 2, int(undisturbed.steps.max())):
        kept = Kept(at)
        with pytest.raises(KeyboardInterrupt):
            fit(stack, checkpoint=kept)
        resumed = fit(stack, checkpoint=kept)
        assert torch.equal(resumed.theta, undisturbed.theta)
        assert torch.equal(resumed.steps, undisturbed.steps)


def test_what_resumes_at_the_floor_has_its_patience_anew() -> None:
    one = on_full_batch()
    whole, begin = three().select(slice(0, 1)), Start(start(3)[:1])
    first = one.fit([one], whole, begin, Recorder())
    second = one.fit([one], whole, Start(first.theta, first.memory), Recorder())
    assert int(second.steps) == FLOOR["patience"] + 1


def test_a_stack_is_compiled_for_the_steps_that_it_takes_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def noted(problem: StackProblem, gradients: int, *shape: int | None) -> Any:
        asked.append(gradients)
        return compiled(problem, gradients, *shape)

    monkeypatch.setattr(_compiling, "compiled", noted)
    goes_on = on_full_batch(10, schedule=plateau(False))
    # At least four cuts of a rate of 0.05 and the floor, each after 7 steps without improvement.
    fit([on_full_batch(10), goes_on])
    fit([on_full_batch(40), on_full_batch(1200)])
    fit([on_full_batch(1200, gradient_norm=1e-9), goes_on])
    averaged = [Restraints(averaging=Averaging(0.75, 0.01, 0.1))] * 2
    some = [on_full_batch(400)] * 2
    some[0].fit(some, three().select(slice(0, 2)), Start(start(3)[:2]), Recorder(), averaged)
    assert asked == [20, 35 + 35, 0, 2 * (35 + 100)]


def test_no_model_stops_sooner_than_its_schedule_says() -> None:
    schedules = [Plateau(stop_at_floor=True, patience=p, factor=f) for p, f in ((3, 0.1), (0, 0.5))]
    rates = schedules[0].rates(schedules, torch.tensor([[0.05], [1e-3]]), torch.tensor([99, 99]))
    soonest = rates.soonest()
    assert soonest is not None
    stopped = torch.full((2,), -1)
    for step in range(1, 99):
        # The worst: the first loss is the best.
        rates.update(torch.full((2,), float(step)))
        over = rates.over()
        assert over is not None
        stopped = torch.where(over & (stopped < 0), step, stopped)
    # The first step always improves on nothing.
    assert stopped.tolist() == (soonest + 1).tolist()
