"""How the models of a stack ended, each at its own time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from fragility.numerics.stack import Evaluation
from fragility.training.base import Fit, State, Training


class Stateful(Protocol):
    """A part of a running training that can be kept, taken up again, and cut down."""

    def state(self) -> State:
        """Returns all that the rest of the training depends on."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state."""

    def select(self, index: Tensor) -> None:
        """Keeps some of the models."""


class Ends:
    """The ends of K models, by their positions in the whole stack."""

    def __init__(self, theta: Tensor, memory: Mapping[str, Tensor], *, averaged: bool) -> None:
        zeros = theta.new_zeros(len(theta))
        self.theta = theta.clone()
        # Without averages a model is its last iterate.
        self.iterate = theta.clone() if averaged else theta.new_zeros(len(theta), 0)
        self.steps = torch.zeros(len(theta), dtype=torch.long, device=theta.device)
        self.norm, self.loss = zeros, zeros.clone()
        self.diverged = torch.zeros_like(zeros, dtype=torch.bool)
        self.memory = {name: torch.zeros_like(value) for name, value in memory.items()}

    def note(
        self,
        models: Tensor,
        steps: Tensor,
        theta: Tensor,
        iterate: Tensor,
        here: Evaluation,
        memory: State,
    ) -> None:
        """Takes note of models that end, given the evaluation of the whole objective there."""
        self.theta[models], self.steps[models] = theta, steps
        if self.averaged:
            self.iterate[models] = iterate
        self.norm[models], self.loss[models] = here.gradient.norm(dim=1), here.data_loss
        self.diverged[models] = ~finite(here)
        for name, value in memory.items():
            self.memory[name][models] = value

    @property
    def averaged(self) -> bool:
        """Whether a model may be another than its last iterate."""
        return self.iterate.shape[1] > 0

    def state(self) -> State:
        """Returns the ends so far."""
        own = {name: value for name, value in vars(self).items() if name != "memory"}
        return own | prefixed("memory", self.memory)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over ends."""
        self.memory = without("memory", state)
        for name in ("theta", "iterate", "steps", "norm", "loss", "diverged"):
            setattr(self, name, state[name])

    def fit(self, stack: Sequence[Training], initial_loss: Tensor, gradients: str) -> Fit:
        """Returns the ends in the form that trainings return."""
        return Fit(
            theta=self.theta,
            steps=self.steps,
            grad_norm=self.norm,
            initial_loss=initial_loss,
            final_loss=self.loss,
            converged=tuple(
                None if one.gradient_norm is None else norm <= one.gradient_norm
                for one, norm in zip(stack, self.norm.tolist(), strict=True)
            ),
            diverged=self.diverged,
            memory=self.memory,
            gradients=gradients,
            iterate=self.iterate if self.averaged else None,
        )


def finite(here: Evaluation) -> Tensor:
    """Returns which models' (K,) objective and gradient are finite."""
    return torch.isfinite(here.objective) & torch.isfinite(here.gradient).all(dim=1)


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    """Returns a state under names that begin with `prefix`."""
    return {f"{prefix}/{name}": value for name, value in state.items()}


def without(prefix: str, state: Mapping[str, Tensor]) -> State:
    """Returns the part of a state whose names begin with `prefix`, under its own names."""
    start = f"{prefix}/"
    return {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
