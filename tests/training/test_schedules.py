"""Schedules that count steps, against torch's own, rate by rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fragility.training.schedules import Schedule
from fragility.training.schedules.cosine import Cosine
from fragility.training.schedules.step import Step

STEPS = 60
CASES: dict[str, tuple[list[Schedule], list[Callable[[Any], Any]]]] = {
    "step": (
        [Step(every=7, factor=0.3), Step(every=1, factor=0.9), Step(every=100)],
        [
            lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3),
            lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.9),
            lambda o: torch.optim.lr_scheduler.StepLR(o, 100, 0.1),
        ],
    ),
    "cosine": (
        [Cosine(), Cosine(floor=1e-3), Cosine(floor=0.05)],
        [
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, 1e-3),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, 0.05),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_torch(name: str) -> None:
    ours, theirs = CASES[name]
    initial = torch.tensor([[0.1], [0.2], [0.05]], dtype=torch.float64)
    rates = ours[0].rates(ours, initial, torch.full((3,), STEPS))
    optimizers = [torch.optim.SGD([torch.zeros(1)], lr=float(rate)) for rate in initial]
    schedules = [make(one) for make, one in zip(theirs, optimizers, strict=True)]
    for step in range(STEPS):
        if step == STEPS // 2:
            # Two models go on from a state that was kept.
            kept = {name: value[1:] for name, value in rates.state().items()}
            rates = ours[0].rates(ours, initial, torch.full((3,), STEPS))
            rates.select(torch.tensor([1, 2]))
            rates.load(kept)
            optimizers, schedules = optimizers[1:], schedules[1:]
        expected = [one.param_groups[0]["lr"] for one in optimizers]
        torch.testing.assert_close(
            rates.current.squeeze(1),
            torch.tensor(expected, dtype=torch.float64),
            rtol=1e-12,
            atol=0,
        )
        rates.update(torch.zeros(len(optimizers)))
        for one, schedule in zip(optimizers, schedules, strict=True):
            one.step()
            schedule.step()


def test_a_cosine_ends_at_its_floor_after_each_model_s_own_steps() -> None:
    stack = [Cosine(floor=0.01), Cosine(floor=0.02)]
    initial = torch.full((2, 1), 0.5, dtype=torch.float64)
    rates = stack[0].rates(stack, initial, torch.tensor([3, 5]))
    for _ in range(5):
        rates.update(torch.zeros(2))
    torch.testing.assert_close(rates.current, torch.tensor([[0.01], [0.02]], dtype=torch.float64))
