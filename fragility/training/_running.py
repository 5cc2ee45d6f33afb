"""A stack in training by an optimizer and a schedule: what the loops share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training._averages import Averages
from fragility.training._compiling import Compiling
from fragility.training._ends import Ends, Stateful, prefixed, without
from fragility.training._steered import steered
from fragility.training._waiting import Waiting
from fragility.training.base import Recorder, Start, State
from fragility.training.optimizers import FirstOrder, Optimizer, Stepper
from fragility.training.restraints import Restraints
from fragility.training.schedules import Rates, Schedule

_COMPACT_BELOW = 0.75


class Stepwise(Protocol):
    """A training that takes steps of an optimizer."""

    @property
    def optimizer(self) -> Optimizer:
        """How parameters move."""

    @property
    def schedule(self) -> Schedule:
        """How the learning rate changes."""

    @property
    def gradient_norm(self) -> float | None:
        """Norm of the gradient at which a model stops."""

    @property
    def resumable(self) -> bool:
        """Whether a later training can go on with what optimizer and schedule remember."""

    def objection(self, restraints: Restraints) -> str | None:
        """Returns why a model cannot be trained so under restraints, or None if it can."""


class Running:
    """The models still in the stack, and the ends of those that left it.

    `limits` (K,) are the most units, steps or epochs, that each model takes, of so many
    `steps_a_unit`. Every part in `parts` is kept in checkpoints and follows the stack as models
    leave it.
    """

    compiling: Compiling

    def __init__(
        self,
        stack: Sequence[Stepwise],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        limits: Tensor,
        restraints: Sequence[Restraints] = (),
        steps_a_unit: int = 1,
    ) -> None:
        restraints = restraints or [Restraints()] * len(stack)
        for one, restraint in zip(stack, restraints, strict=True):
            if objection := one.objection(restraint):
                raise ValueError(objection)
        first, theta = stack[0], start.theta.detach().clone()
        self.problem, self.recorder, self.theta, self.limits = problem, recorder, theta, limits
        rates = theta.new_tensor([[one.optimizer.learning_rate] for one in stack])
        self.stepper: Stepper = first.optimizer.stepper([one.optimizer for one in stack], theta)
        if isinstance(self.stepper, FirstOrder):
            self.stepper = steered(self.stepper, restraints, theta)
        self.rates: Rates = first.schedule.rates(
            [one.schedule for one in stack], rates, limits * steps_a_unit
        )
        self.parts: dict[str, Stateful] = {"optimizer": self.stepper, "schedule": self.rates}
        self.steps_a_unit = steps_a_unit
        self.waiting = _watched(restraints, theta)
        self.averages = _averaged(restraints, limits, theta)
        self.resumable = first.resumable
        if start.memory and self.resumable:
            for name, part in self.parts.items():
                part.load(without(name, start.memory))
        if self.waiting is not None:
            self.parts["waiting"] = self.waiting
        if self.averages is not None:
            self.parts["averages"] = self.averages
        self.tolerances = theta.new_tensor([one.gradient_norm or -1.0 for one in stack])
        self.watches_norm = any(one.gradient_norm for one in stack)
        self.models = torch.arange(len(stack), device=theta.device)
        self.active = torch.ones_like(self.models, dtype=torch.bool)
        self.initial_loss = theta.new_zeros(len(stack))
        self.ends = Ends(theta, self.memory(), averaged=self.averages is not None)
        self.step = 0
        self.skipped = torch.zeros_like(self.models)

    @property
    def current_rates(self) -> Tensor:
        """The learning rates (K, 1) of the next step."""
        rates = self.rates.current
        return rates if self.averages is None else self.averages.rates(rates)

    def follow(self, unit: int, loss: Tensor, resting: Tensor | None) -> None:
        """Lets the schedules take note of a loss (K,), except where averaging leads the rate."""
        held = None if self.averages is None else self.averages.holds(unit)
        if resting is not None:
            held = resting if held is None else held | resting
        if held is None or not bool(held.any()):
            self.rates.update(loss)
        elif not bool(held.all()):
            before = self.rates.state()
            self.rates.update(loss)
            hold(self.rates, held, before)

    def resting(self, unit: int) -> Tensor | None:
        """Returns which models (K,) rest at the floor of their rates until averaging raises them.

        None where none does.
        """
        over = None if self.averages is None else self.rates.over()
        if over is None or self.averages is None:
            return None
        resting = over & self.averages.awaits(unit)
        return resting if bool(resting.any()) else None

    def rest(self, resting: Tensor, theta: Tensor, memory: State) -> Tensor:
        """Returns parameters after a step that some models did not take, given those moved by it.

        `memory` is what the optimizer remembered before the step.
        """
        hold(self.stepper, resting, memory)
        self.skipped = self.skipped + resting
        return torch.where(resting.unsqueeze(1), self.theta, theta)

    def skip(self, resting: Tensor) -> bool:
        """Goes on to the next unit that a model does not rest in; returns whether it skips any."""
        assert self.averages is not None
        if not bool((resting | ~self.active).all()):
            return False
        last = self.averages.last[self.active]
        units = torch.minimum(last + 1, self.limits[self.active].to(last)).min()
        ahead = int(units) * self.steps_a_unit - self.step
        self.skipped, self.step = self.skipped + ahead, self.step + ahead
        return ahead > 0

    def end_unit(self, unit: int, loss: Tensor, resting: Tensor | None) -> None:
        """Takes note of a unit that is over, number `unit`, and of its watched loss (K,)."""
        if self.waiting is not None:
            before = self.waiting.state()
            self.waiting.update(loss)
            if resting is not None:
                hold(self.waiting, resting, before)
        if self.averages is not None:
            self.averages.take(unit, self.theta)

    def leave(self, rows: Tensor, here: Evaluation | None) -> None:
        """Takes note of models that end, given the evaluation (K,) of all where there is one."""
        theta = iterate = self.theta[rows]
        if self.problem.draws is not None:
            here = None
        if self.averages is not None:
            theta, here = self.averages.of(rows, iterate), None
        end = self.problem.select(rows).evaluate(theta) if here is None else here.select(rows)
        memory = {name: value[rows] for name, value in self.memory().items()}
        steps = self.step - self.skipped[rows]
        self.ends.note(self.models[rows], steps, theta, iterate, end, memory)

    def taken_up(self) -> bool:
        """Goes on from what an interrupted run left; returns whether there was anything."""
        checkpoint = self.recorder.checkpoint
        saved = checkpoint.load() if checkpoint is not None else None
        if saved is not None:
            self.load(saved)
        return saved is not None

    def save_if_due(self) -> None:
        """Keeps the state where somebody asks for it."""
        checkpoint = self.recorder.checkpoint
        if checkpoint is not None and checkpoint.due():
            checkpoint.save(self.state())

    def compact(self) -> Tensor | None:
        """Drops the models that are done once they are enough of the stack to be worth the copy.

        Returns the rows that are kept, or None for all.
        """
        rows = self.active.nonzero().squeeze(1)
        if not 0 < len(rows) <= _COMPACT_BELOW * len(self.active):
            return None
        self.keep(rows)
        return rows

    def keep(self, rows: Tensor) -> None:
        """Drops all other models."""
        self.problem = self.problem.select(rows)
        for part in self.parts.values():
            part.select(rows)
        self.theta = self.theta[rows]
        self.limits, self.tolerances = self.limits[rows], self.tolerances[rows]
        self.models, self.active = self.models[rows], self.active[rows]
        self.skipped = self.skipped[rows]

    def done(self) -> Tensor | None:
        """Returns which models (K,) stop before their limit, None where none ever does so."""
        at_floor = self.rates.over()
        if at_floor is not None and self.averages is not None:
            # Their rate rises again.
            at_floor = at_floor & ~self.averages.leads
        waited = None if self.waiting is None else self.waiting.over()
        rules = [rule for rule in (self.stepper.stalled(), at_floor, waited) if rule is not None]
        return torch.stack(rules).any(dim=0) if rules else None

    def fewest_units(self) -> Tensor:
        """Returns how many units each model (K,) takes at the least, unless it diverges.

        Those that the floor of the rate, averaging and limits leave.
        """
        if self.watches_norm or self.waiting is not None or self.stepper.stalled() is not None:
            return torch.zeros_like(self.limits)
        soonest = self.rates.soonest()
        if soonest is None:
            return self.limits
        fewest = soonest.double().minimum(self.limits.double())
        if self.averages is not None:
            # A model whose rate averaging will raise rests at the floor, and then takes the rest.
            last = self.averages.last.minimum(self.limits.double())
            with_rest = fewest.minimum(last) + self.limits - last
            fewest = torch.where(self.averages.leads, with_rest, fewest)
        return fewest.long()

    def memory(self) -> State:
        """Returns what a later training may resume with."""
        if not self.resumable:
            return {}
        optimizer, schedule = self.stepper.state(), self.rates.memory()
        return prefixed("optimizer", optimizer) | prefixed("schedule", schedule)

    def state(self) -> State:
        """Returns all that the rest of the training depends on."""
        state = {
            "step": torch.tensor([self.step]),
            "models": self.models,
            "active": self.active,
            "skipped": self.skipped,
            "theta": self.theta,
            "initial_loss": self.initial_loss,
            **prefixed("ends", self.ends.state()),
            **prefixed("compiling", self.compiling.state()),
        }
        for name, part in self.parts.items():
            state |= prefixed(name, part.state())
        if self.recorder.trajectory is not None:
            state |= prefixed("trajectory", self.recorder.trajectory.state())
        return state

    def load(self, state: State) -> None:
        """Takes over a state."""
        self.keep(state["models"])
        self.step = int(state["step"])
        self.active, self.theta = state["active"], state["theta"]
        self.skipped = state["skipped"]
        self.initial_loss = state["initial_loss"]
        self.ends.load(without("ends", state))
        self.problem = self.compiling.load(self.problem, without("compiling", state))
        for name, part in self.parts.items():
            part.load(without(name, state))
        if self.recorder.trajectory is not None:
            self.recorder.trajectory.load(without("trajectory", state))


def _watched(stack: Sequence[Restraints], theta: Tensor) -> Waiting | None:
    rules = [one.early_stopping for one in stack]
    return Waiting(rules, theta) if any(rules) else None


def _averaged(stack: Sequence[Restraints], limits: Tensor, theta: Tensor) -> Averages | None:
    rules = [one.averaging for one in stack]
    return Averages(rules, limits, theta) if any(rules) else None


def hold(part: Stateful, models: Tensor, before: State) -> None:
    """Gives a part back the state that it had before, of some of the models (K,)."""
    after = part.state()
    part.load({name: _where(models, before[name], after[name]) for name in after})


def _where(models: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(models.view(-1, *[1] * (one.dim() - 1)), one, other)
