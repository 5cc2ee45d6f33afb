"""L-BFGS for a stack of models, with a backtracking line search for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training.optimizers.base import Optimizer, Stepper

_SUFFICIENT_DECREASE = 1e-4
_BACKTRACKS = 20
_PATIENCE = 20


class LBFGS(Optimizer):
    """Limited-memory BFGS; reaches gradient norms near the rounding error on smooth objectives.

    Each model keeps its own curvature pairs and its own step length. A step is taken when it
    decreases the objective enough (Armijo), up to the rounding error of the objective; a pair whose
    curvature is not positive is skipped, so that the direction always descends. A model that the
    gradient itself leads no further down stops before its last step.

    Valid when: the objective is smooth (not ReLU or SELU) and the gradient is of the full batch.
    Cost: one gradient a step, and one more for every backtrack.
    Reference: Nocedal and Wright 2006, algorithm 7.4.
    """

    kind: Literal["lbfgs"] = "lbfgs"
    learning_rate: PositiveFloat = 1.0
    """First step length tried."""
    history: PositiveInt = 20
    """Number of curvature pairs kept."""

    @property
    def resumable(self) -> bool:
        """Curvature pairs belong to the objective they were measured on."""
        return False

    @property
    def full_batch_only(self) -> bool:
        """The line search and the curvature pairs compare evaluations."""
        return True

    def fusion(self) -> JSON:
        """The history's length is the shape of the state."""
        return [self.kind, self.history]

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> Stepper:
        """Returns a state without curvature pairs."""
        return _Quasi(self.history, theta)


class _Quasi(Stepper):
    def __init__(self, history: int, theta: Tensor) -> None:
        self.history = history
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.inverse: list[Tensor] = []
        self.scale = theta.new_zeros(theta.shape[0])
        self.failures = torch.zeros(theta.shape[0], dtype=torch.long, device=theta.device)
        self.idle = torch.zeros_like(self.failures)
        self.flattest = torch.full_like(self.scale, torch.inf)
        self.lowest = torch.full_like(self.scale, torch.inf)

    def step(
        self, problem: StackProblem, theta: Tensor, here: Evaluation, rates: Tensor
    ) -> tuple[Tensor, Evaluation]:
        direction = self._direction(here.gradient)
        slope = (direction * here.gradient).sum(dim=1)
        ascent = slope >= 0
        direction = torch.where(ascent.unsqueeze(1), -here.gradient, direction)
        slope = torch.where(ascent, -here.gradient.square().sum(dim=1), slope)
        moved, there = _backtrack(problem, theta, here, direction, slope, rates)
        self._remember(moved - theta, there.gradient - here.gradient)
        self._forget((moved == theta).all(dim=1))
        norm = there.gradient.norm(dim=1)
        # Not lower than `here` alone: within rounding, steps up and down would go on for ever.
        self.lowest = torch.minimum(self.lowest, here.objective)
        better = (there.objective < self.lowest) | (norm < self.flattest)
        self.flattest = torch.minimum(self.flattest, norm)
        self.idle = torch.where(better, 0, self.idle + 1)
        return moved, there

    def stalled(self) -> Tensor:
        """Models that find no lower point downhill, or none lower or flatter for a while."""
        return (self.failures > 1) | (self.idle > _PATIENCE)

    def _direction(self, gradient: Tensor) -> Tensor:
        q = gradient
        alphas = []
        for s, y, rho in zip(
            reversed(self.steps), reversed(self.changes), reversed(self.inverse), strict=True
        ):
            alpha = rho * (s * q).sum(dim=1, keepdim=True)
            q = q - alpha * y
            alphas.append(alpha)
        # Without a pair yet, the first step has length one at most.
        first = 1 / gradient.norm(dim=1).clamp(min=1)
        r = torch.where(self.scale > 0, self.scale, first).unsqueeze(1) * q
        for s, y, rho, alpha in zip(
            self.steps, self.changes, self.inverse, reversed(alphas), strict=True
        ):
            r = r + (alpha - rho * (y * r).sum(dim=1, keepdim=True)) * s
        return -r

    def _remember(self, s: Tensor, y: Tensor) -> None:
        sy = (s * y).sum(dim=1)
        yy = y.square().sum(dim=1)
        good = sy > 1e-10 * yy
        rho = torch.where(good, 1 / torch.where(good, sy, 1), 0)
        self.scale = torch.where(good, sy / torch.where(good, yy, 1), self.scale)
        self.steps.append(s)
        self.changes.append(y)
        self.inverse.append(rho.unsqueeze(1))
        if len(self.steps) > self.history:
            del self.steps[0], self.changes[0], self.inverse[0]

    def state(self) -> dict[str, Tensor]:
        state = {
            "scale": self.scale,
            "failures": self.failures,
            "idle": self.idle,
            "flattest": self.flattest,
            "lowest": self.lowest,
        }
        for number, pair in enumerate(zip(self.steps, self.changes, self.inverse, strict=True)):
            names = (f"{name}.{number}" for name in ("step", "change", "inverse"))
            state.update(zip(names, pair, strict=True))
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.scale, self.failures = state["scale"], state["failures"]
        self.idle, self.flattest = state["idle"], state["flattest"]
        self.lowest = state["lowest"]
        pairs = sum(name.startswith("step.") for name in state)
        self.steps = [state[f"step.{number}"] for number in range(pairs)]
        self.changes = [state[f"change.{number}"] for number in range(pairs)]
        self.inverse = [state[f"inverse.{number}"] for number in range(pairs)]

    def _forget(self, failed: Tensor) -> None:
        """Drops the pairs of models whose line search failed: they start over downhill."""
        self.failures = torch.where(failed, self.failures + 1, 0)
        if bool(failed.any()):
            self.inverse = [torch.where(failed.unsqueeze(1), 0, rho) for rho in self.inverse]
            self.scale = torch.where(failed, 0, self.scale)

    def select(self, index: Tensor) -> None:
        self.failures, self.idle = self.failures[index], self.idle[index]
        self.flattest, self.lowest = self.flattest[index], self.lowest[index]
        self.steps = [s[index] for s in self.steps]
        self.changes = [y[index] for y in self.changes]
        self.inverse = [rho[index] for rho in self.inverse]
        self.scale = self.scale[index]


def _backtrack(
    problem: StackProblem,
    theta: Tensor,
    here: Evaluation,
    direction: Tensor,
    slope: Tensor,
    rates: Tensor,
) -> tuple[Tensor, Evaluation]:
    """Returns each model's first point of t, t/2, t/4 ... that decreases its objective enough.

    A model for which none does stays where it is, to the bit.
    """
    lengths = rates.squeeze(1).clone()
    # Near the optimum the decrease is below the rounding error of the objective itself.
    rounding = 10 * torch.finfo(theta.dtype).eps * here.objective.abs()
    best_theta, best = theta, here
    open_ = torch.isfinite(slope) & (slope < 0)
    for _ in range(_BACKTRACKS):
        index = open_.nonzero().squeeze(1)
        if len(index) == 0:
            break
        whole = len(index) == len(open_)
        trial_problem = problem if whole else problem.select(index)
        trial = theta[index] + lengths[index].unsqueeze(1) * direction[index]
        there = trial_problem.evaluate(trial)
        limit = here.objective[index] + _SUFFICIENT_DECREASE * lengths[index] * slope[index]
        accepted = there.objective <= limit + rounding[index]
        best_theta, best = _place(best_theta, best, index[accepted], trial, there, accepted)
        open_ = open_.clone()
        open_[index[accepted]] = False
        lengths[index] = lengths[index] / 2
    return best_theta, best


def _place(
    theta: Tensor,
    evaluation: Evaluation,
    index: Tensor,
    trial: Tensor,
    there: Evaluation,
    accepted: Tensor,
) -> tuple[Tensor, Evaluation]:
    return theta.index_copy(0, index, trial[accepted]), Evaluation(
        evaluation.objective.index_copy(0, index, there.objective[accepted]),
        evaluation.data_loss.index_copy(0, index, there.data_loss[accepted]),
        evaluation.gradient.index_copy(0, index, there.gradient[accepted]),
    )
