"""The loop of minibatch training: epochs of steps for a stack of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fragility.numerics.stack import StackProblem
from fragility.training._early_stopping import Waiting
from fragility.training._ends import Ends, Stateful, prefixed, without
from fragility.training._orders import Orders
from fragility.training.base import Fit, Recorder, Start, State
from fragility.training.optimizers import FirstOrder
from fragility.training.schedules import Rates

if TYPE_CHECKING:
    from fragility.training.minibatch import Minibatch

_COMPACT_BELOW = 0.75


class Loop:
    """The running state: the models still in the stack, and the ends of those that left it."""

    def __init__(
        self, stack: Sequence[Minibatch], problem: StackProblem, start: Start, recorder: Recorder
    ) -> None:
        if len(start.orders) != len(stack):
            raise ValueError("minibatch training needs the seed of each model's example order")
        first, theta, n = stack[0], start.theta.detach().clone(), problem.weights.shape[1]
        self.stack, self.problem, self.recorder, self.theta = stack, problem, recorder, theta
        self.size = min(first.batch_size, n)
        self.batches = -(-n // self.size)
        self.orders = Orders(start.orders, n, theta.device)
        self.limits = torch.tensor([one.epochs for one in stack], device=theta.device)
        self.tolerances = theta.new_tensor([one.gradient_norm or -1.0 for one in stack])
        self.watches_norm = any(one.gradient_norm for one in stack)
        self.most = max(1, self.batches * int(self.limits.max()))
        stepper = first.optimizer.stepper([one.optimizer for one in stack], theta)
        assert isinstance(stepper, FirstOrder)
        rates = theta.new_tensor([[one.optimizer.learning_rate] for one in stack])
        steps = self.limits * self.batches
        self.stepper = stepper
        self.rates: Rates = first.schedule.rates([one.schedule for one in stack], rates, steps)
        self.waiting = Waiting([one.early_stopping for one in stack], theta)
        self.resumable: dict[str, Stateful] = {}
        if first.resumable:
            self.resumable = {"optimizer": self.stepper, "schedule": self.rates}
        if start.memory:
            for name, part in self.resumable.items():
                part.load(without(name, start.memory))
        self.models = torch.arange(len(stack), device=theta.device)
        self.active = torch.ones_like(self.models, dtype=torch.bool)
        self.initial_loss = theta.new_zeros(len(stack))
        self.ends = Ends(theta, self._memory())
        self.step = 0
        self.rows: Tensor | None = None
        # The epoch's mean loss, as far as the epoch has come.
        self.loss = theta.new_zeros(len(stack))

    def run(self) -> Fit:
        """Trains until the last model stops."""
        checkpoint = self.recorder.checkpoint
        saved = checkpoint.load() if checkpoint is not None else None
        if saved is not None:
            self._load(saved)
        while True:
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(self._state())
            self._record()
            epoch, place = divmod(self.step, self.batches)
            if place == 0:
                self._stop(epoch)
                if not bool(self.active.any()):
                    return self.ends.fit(self.stack, self.initial_loss)
            if self.rows is None:
                self.rows = self.orders.epoch(epoch)
            self._take(self.rows[..., place * self.size : (place + 1) * self.size])
            if place + 1 == self.batches:
                self._end_epoch()
            self.recorder.progress(self.step / self.most)

    def _take(self, rows: Tensor) -> None:
        here = self.problem.evaluate_rows(self.theta, rows)
        self.theta = self.stepper.move(self.theta, here.gradient, self.rates.current)
        if not self.rates.follows_loss:
            self.rates.update(here.data_loss)
        self.loss = self.loss + here.data_loss * (rows.shape[-1] / self.problem.weights.shape[1])
        self.step += 1

    def _end_epoch(self) -> None:
        if self.rates.follows_loss:
            self.rates.update(self.loss)
        self.waiting.update(self.loss)
        self.rows = None

    def _stop(self, epoch: int) -> None:
        """Lets models go that are done, and begins an epoch of the others."""
        here = None
        stopped = (self.limits <= epoch) | self.waiting.over() | ~torch.isfinite(self.loss)
        if epoch == 0 or self.watches_norm:
            here = self.problem.evaluate(self.theta)
            stopped = stopped | (here.gradient.norm(dim=1) <= self.tolerances)
            if epoch == 0:
                self.initial_loss = here.data_loss
        leaving = (stopped & self.active).nonzero().squeeze(1)
        if len(leaving):
            theta = self.theta[leaving]
            memory = {name: value[leaving] for name, value in self._memory().items()}
            if here is None:
                end = self.problem.select(leaving).evaluate(theta)
            else:
                end = here.select(leaving)
            self.ends.note(self.models[leaving], self.step, theta, end, memory)
            self.active = self.active & ~stopped
            self._compact()
        self.loss = torch.zeros_like(self.loss)

    def _compact(self) -> None:
        """Drops the models that are done once they are enough of the stack to be worth the copy."""
        rows = self.active.nonzero().squeeze(1)
        if 0 < len(rows) <= _COMPACT_BELOW * len(self.active):
            self._keep(rows)

    def _keep(self, rows: Tensor) -> None:
        self.problem = self.problem.select(rows)
        for part in (self.orders, self.stepper, self.rates, self.waiting):
            part.select(rows)
        self.theta, self.loss = self.theta[rows], self.loss[rows]
        self.limits, self.tolerances = self.limits[rows], self.tolerances[rows]
        self.models, self.active = self.models[rows], self.active[rows]

    def _record(self) -> None:
        trajectory = self.recorder.trajectory
        if trajectory is None or self.step % trajectory.every:
            return
        rows = self.active.nonzero().squeeze(1)
        theta = self.theta[rows]
        # Of all examples: the loss of one batch tells little.
        loss = self.problem.select(rows).evaluate(theta).data_loss
        trajectory.observe(self.step, theta, self.models[rows], loss)

    def _memory(self) -> State:
        """Returns what a later training may resume with."""
        memory: State = {}
        for name, part in self.resumable.items():
            memory |= prefixed(name, part.state())
        return memory

    def _state(self) -> State:
        """Returns all that the rest of the training depends on."""
        trajectory = self.recorder.trajectory
        return {
            "step": torch.tensor([self.step]),
            "models": self.models,
            "active": self.active,
            "theta": self.theta,
            "loss": self.loss,
            "initial_loss": self.initial_loss,
            **prefixed("optimizer", self.stepper.state()),
            **prefixed("schedule", self.rates.state()),
            **prefixed("waiting", self.waiting.state()),
            **prefixed("ends", self.ends.state()),
            **prefixed("trajectory", {} if trajectory is None else trajectory.state()),
        }

    def _load(self, state: State) -> None:
        """Takes over a state."""
        self._keep(state["models"])
        self.step = int(state["step"])
        self.active, self.theta = state["active"], state["theta"]
        self.loss, self.initial_loss = state["loss"], state["initial_loss"]
        self.stepper.load(without("optimizer", state))
        self.rates.load(without("schedule", state))
        self.waiting.load(without("waiting", state))
        self.ends.load(without("ends", state))
        if self.recorder.trajectory is not None:
            self.recorder.trajectory.load(without("trajectory", state))
