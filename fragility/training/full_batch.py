"""Training on the full batch: every step sees every example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training.base import Fit, Recorder, Start, State, Training
from fragility.training.optimizers import OPTIMIZERS, Optimizer, Stepper
from fragility.training.optimizers.adam import Adam
from fragility.training.schedules import SCHEDULES, Rates, Schedule
from fragility.training.schedules.none import Constant

_COMPACT_BELOW = 0.75


class FullBatch(Training):
    """Full-batch training: deterministic, no example order, no minibatch noise.

    A model stops when the norm of the gradient of its objective, penalty included, reaches
    `gradient_norm`, when it has taken `steps` steps, or when its objective is no longer finite. The
    schedule watches the loss that a step started from, without the penalty.

    Valid when: the data fit in memory.
    Cost: `steps` gradients of all examples for each model; done models leave the stack.
    """

    kind: Literal["full_batch"] = "full_batch"
    steps: NonNegativeInt
    """Upper limit of the number of steps."""
    optimizer: Annotated[Optimizer, OPTIMIZERS] = Adam()
    """How parameters move."""
    schedule: Annotated[Schedule, SCHEDULES] = Constant()
    """How the learning rate changes."""

    @property
    def resumable(self) -> bool:
        """Whether the optimizer leaves something to resume."""
        return self.optimizer.resumable

    def fusion(self) -> JSON:
        """Models share the kind of optimizer and of schedule, and the precision."""
        return [self.kind, self.optimizer.fusion(), self.schedule.kind, self.dtype]

    def fit(
        self, stack: Sequence[FullBatch], problem: StackProblem, start: Start, recorder: Recorder
    ) -> Fit:
        """Trains the stack; see the class."""
        return _Loop(stack, problem, start, recorder).run()


class _Loop:
    """The running state: the models still in the stack, and the ends of those that left it."""

    def __init__(
        self,
        stack: Sequence[FullBatch],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
    ) -> None:
        first, theta = stack[0], start.theta
        device = theta.device
        rates = theta.new_tensor([[one.optimizer.learning_rate] for one in stack])
        self.stack, self.problem, self.recorder = stack, problem, recorder
        self.theta = theta.detach().clone()
        self.stepper: Stepper = first.optimizer.stepper([s.optimizer for s in stack], self.theta)
        self.limits = torch.tensor([one.steps for one in stack], device=device)
        self.rates: Rates = first.schedule.rates([s.schedule for s in stack], rates, self.limits)
        self.resumable = first.optimizer.resumable
        self._remember(start.memory)
        self.tolerances = theta.new_tensor([one.gradient_norm or -1.0 for one in stack])
        self.models = torch.arange(len(stack), device=device)
        self.watches_norm = any(one.gradient_norm for one in stack)
        self.even = len(set(self.limits.tolist())) == 1
        self.end_theta = self.theta.clone()
        self.end_steps = torch.zeros_like(self.limits)
        self.end_norm = theta.new_zeros(len(stack))
        self.end_loss = theta.new_zeros(len(stack))
        self.end_finite = torch.ones(len(stack), dtype=torch.bool, device=device)
        self.end_memory = {n: torch.zeros_like(v) for n, v in self._memory().items()}

    def run(self) -> Fit:
        longest = int(self.limits.max())
        checkpoint = self.recorder.checkpoint
        saved = checkpoint.load() if checkpoint is not None else None
        if saved is None:
            first, active = 0, torch.ones_like(self.models, dtype=torch.bool)
            here = self.problem.evaluate(self.theta)
            self.initial_loss = here.data_loss.clone()
        else:
            first, active, here = self._load(saved)
        for step in range(first, longest + 1):
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(self._state(step, active, here))
            self._record(step, active, here)
            stopped = self._stopped(step, longest, here)
            if stopped is not None:
                self._leave(stopped & active, step, here)
                active = active & ~stopped
                if not bool(active.any()):
                    break
                active, here = self._compact(active, here)
            before = here
            moved, there = self.stepper.step(self.problem, self.theta, before, self.rates.current)
            self.theta, here = moved, there
            self.rates.update(before.data_loss)
            if step % 50 == 0:
                self.recorder.progress(step / longest)
        return self._fit()

    def _stopped(self, step: int, longest: int, here: Evaluation) -> Tensor | None:
        """Returns which models stop before this step, or None when none can."""
        at_end = step == longest
        # A loss that is no longer finite stays so: looking now and then finds it.
        look = step % 25 == 0
        stalled = self.stepper.stalled()
        if not (at_end or self.watches_norm or look or not self.even or stalled is not None):
            return None
        stopped = self.limits <= step
        if stalled is not None:
            stopped = stopped | stalled
        if self.watches_norm:
            stopped = stopped | (here.gradient.norm(dim=1) <= self.tolerances)
        if look or self.watches_norm or at_end:
            stopped = stopped | ~_finite(here)
        return stopped

    def _leave(self, leaving: Tensor, step: int, here: Evaluation) -> None:
        rows = leaving.nonzero().squeeze(1)
        if len(rows) == 0:
            return
        index = self.models[rows]
        self.end_theta[index] = self.theta[rows]
        self.end_steps[index] = step
        self.end_norm[index] = here.gradient[rows].norm(dim=1)
        self.end_loss[index] = here.data_loss[rows]
        self.end_finite[index] = _finite(here)[rows]
        for name, value in self._memory().items():
            self.end_memory[name][index] = value[rows]

    def _compact(self, active: Tensor, here: Evaluation) -> tuple[Tensor, Evaluation]:
        """Drops the models that are done once they are enough of the stack to be worth the copy."""
        rows = active.nonzero().squeeze(1)
        if len(rows) > _COMPACT_BELOW * len(active):
            return active, here
        self.theta = self.theta[rows]
        self._keep(rows)
        return active[rows], here.select(rows)

    def _keep(self, rows: Tensor) -> None:
        self.problem = self.problem.select(rows)
        self.stepper.select(rows)
        self.rates.select(rows)
        self.limits, self.tolerances = self.limits[rows], self.tolerances[rows]
        self.models = self.models[rows]

    def _record(self, step: int, active: Tensor, here: Evaluation) -> None:
        trajectory = self.recorder.trajectory
        if trajectory is None or step % trajectory.every:
            return
        rows = active.nonzero().squeeze(1)
        trajectory.observe(step, self.theta[rows], self.models[rows], here.data_loss[rows])

    def _memory(self) -> State:
        """Returns what a later training may resume with."""
        if not self.resumable:
            return {}
        return _prefixed("optimizer", self.stepper.state()) | _prefixed(
            "schedule", self.rates.state()
        )

    def _remember(self, memory: Mapping[str, Tensor]) -> None:
        if memory:
            self.stepper.load(_without("optimizer", memory))
            self.rates.load(_without("schedule", memory))

    def _state(self, step: int, active: Tensor, here: Evaluation) -> State:
        """Returns all that the rest of the training depends on."""
        trajectory = self.recorder.trajectory
        return {
            "step": torch.tensor([step]),
            "active": active,
            "models": self.models,
            "theta": self.theta,
            "initial_loss": self.initial_loss,
            **_prefixed("here", vars(here)),
            **_prefixed("optimizer", self.stepper.state()),
            **_prefixed("schedule", self.rates.state()),
            **_prefixed("end", {name: getattr(self, name) for name in _ENDS}),
            **_prefixed("memory", self.end_memory),
            **_prefixed("trajectory", {} if trajectory is None else trajectory.state()),
        }

    def _load(self, state: State) -> tuple[int, Tensor, Evaluation]:
        """Takes over a state and returns the step, the active models and the evaluation there."""
        rows = state["models"]
        self._keep(rows)
        self.theta, self.initial_loss = state["theta"], state["initial_loss"]
        self.stepper.load(_without("optimizer", state))
        self.rates.load(_without("schedule", state))
        for name, value in _without("end", state).items():
            setattr(self, name, value)
        self.end_memory = _without("memory", state)
        if self.recorder.trajectory is not None:
            self.recorder.trajectory.load(_without("trajectory", state))
        return int(state["step"]), state["active"], Evaluation(**_without("here", state))

    def _fit(self) -> Fit:
        tolerances = [one.gradient_norm for one in self.stack]
        norms = self.end_norm.tolist()
        return Fit(
            theta=self.end_theta,
            steps=self.end_steps,
            grad_norm=self.end_norm,
            initial_loss=self.initial_loss,
            final_loss=self.end_loss,
            converged=tuple(
                None if tolerance is None else norm <= tolerance
                for norm, tolerance in zip(norms, tolerances, strict=True)
            ),
            diverged=~self.end_finite,
            memory=self.end_memory,
        )


_ENDS = ("end_theta", "end_steps", "end_norm", "end_loss", "end_finite")


def _prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {f"{prefix}/{name}": value for name, value in state.items()}


def _without(prefix: str, state: Mapping[str, Tensor]) -> State:
    start = f"{prefix}/"
    return {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}


def _finite(here: Evaluation) -> Tensor:
    return torch.isfinite(here.objective) & torch.isfinite(here.gradient).all(dim=1)
