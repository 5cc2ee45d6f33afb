"""Training on the full batch: every step sees every example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training._compiling import Compiling
from fragility.training._ends import finite, prefixed, without
from fragility.training._running import Running
from fragility.training.base import Fit, Recorder, Start, State, Training
from fragility.training.optimizers import OPTIMIZERS, Optimizer
from fragility.training.optimizers.adam import Adam
from fragility.training.restraints import Restraints
from fragility.training.schedules import SCHEDULES, Schedule
from fragility.training.schedules.none import Constant


class FullBatch(Training):
    """Full-batch training: deterministic, no example order, no minibatch noise.

    A model stops when the norm of the gradient of its objective, penalty included, reaches
    `gradient_norm`, when it has taken `steps` steps, when its schedule or early stopping stops it,
    or when its objective is no longer finite. Both watch the loss that a step started from, without
    the penalty unless the schedule is told so.

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

    def at_rate(self, learning_rate: float) -> Self:
        """Returns this training begun at another learning rate."""
        optimizer = self.optimizer.model_copy(update={"learning_rate": learning_rate})
        return self.model_copy(update={"optimizer": optimizer})

    @property
    def resumable(self) -> bool:
        """Whether the optimizer leaves something to resume."""
        return self.optimizer.resumable

    def fusion(self) -> JSON:
        """Models share the kind of optimizer and of schedule, and the precision."""
        return [self.kind, self.optimizer.fusion(), self.schedule.kind, self.dtype]

    def objection(self, restraints: Restraints) -> str | None:
        """Returns which restraint the optimizer cannot follow, or None if there is none."""
        return self.optimizer.objection(restraints)

    def fit(
        self,
        stack: Sequence[FullBatch],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints] = (),
    ) -> Fit:
        """Trains the stack; see the class."""
        return _Loop(stack, problem, start, recorder, restraints).run()


class _Loop(Running):
    """The running state, with the evaluation of the objectives where the models are."""

    def __init__(
        self,
        stack: Sequence[FullBatch],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints],
    ) -> None:
        limits = torch.tensor([one.steps for one in stack], device=start.theta.device)
        super().__init__(stack, problem, start, recorder, limits, restraints)
        self.stack = stack
        self.longest = int(limits.max())
        self.even = len(set(limits.tolist())) == 1
        self.compiling = Compiling(problem, int(self.fewest_units().sum()))
        self.problem = self.compiling.problem

    def run(self) -> Fit:
        """Trains until the last model stops."""
        if not self.taken_up():
            self.here = self.problem.at(0).evaluate(self.theta)
            self.initial_loss = self.here.data_loss.clone()
        while True:
            self.save_if_due()
            self._record()
            stopped = self._stopped()
            if stopped is not None:
                leaving = (stopped & self.active).nonzero().squeeze(1)
                if len(leaving):
                    self.leave(leaving, self.here)
                self.active = self.active & ~stopped
                if not bool(self.active.any()):
                    return self.ends.fit(self.stack, self.initial_loss, self.compiling.how)
                kept = self.compact()
                self.here = self.here if kept is None else self.here.select(kept)
            resting = self.resting(self.step)
            if resting is not None and self.skip(resting):
                continue
            before, rates = self.here, self.current_rates
            memory = {} if resting is None else self.stepper.state()
            problem = self.problem.at(self.step + 1)
            theta, here = self.stepper.step(problem, self.theta, before, rates)
            if resting is not None:
                here = before.where(resting, here)
                theta = self.rest(resting, theta, memory)
            self.theta, self.here = theta, here
            self.problem = self.compiling.spend(self.problem)
            self.follow(self.step, self._watched(before), resting)
            self.end_unit(self.step, before.data_loss, resting)
            if self.step % 50 == 0:
                self.recorder.progress(self.step / self.longest)
            self.step += 1

    def _watched(self, here: Evaluation) -> Tensor:
        """Returns the losses (K,) that the schedules go by."""
        whole = self.rates.includes_penalty
        return here.data_loss if whole is None else here.data_loss.where(~whole, here.objective)

    def _stopped(self) -> Tensor | None:
        """Returns which models stop before this step, or None when none can."""
        at_end = self.step == self.longest
        # A loss that is no longer finite stays so: looking now and then finds it.
        look = self.step % 25 == 0
        done = self.done()
        if not (at_end or self.watches_norm or look or not self.even or done is not None):
            return None
        stopped = self.limits <= self.step
        if done is not None:
            stopped = stopped | done
        if self.watches_norm:
            # Noise is no part of the objective that is asked about.
            quiet = self.problem.draws is None
            here = self.here if quiet else self.problem.evaluate(self.theta)
            stopped = stopped | (here.gradient.norm(dim=1) <= self.tolerances)
        if look or self.watches_norm or at_end:
            stopped = stopped | ~finite(self.here)
        return stopped

    def _record(self) -> None:
        trajectory = self.recorder.trajectory
        if trajectory is None or self.step % trajectory.every:
            return
        rows = self.active.nonzero().squeeze(1)
        loss = self.here.data_loss[rows]
        trajectory.observe(self.step, self.theta[rows], self.models[rows], loss)

    def state(self) -> State:
        """Returns all that the rest of the training depends on."""
        return super().state() | prefixed("here", vars(self.here))

    def load(self, state: State) -> None:
        """Takes over a state."""
        super().load(state)
        self.here = Evaluation(**without("here", state))
