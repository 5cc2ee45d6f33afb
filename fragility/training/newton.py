"""Newton's method: the optimum of a convex objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, model_validator

from fragility.method import JSON
from fragility.numerics.newton import optima
from fragility.numerics.stack import StackProblem
from fragility.training._ends import prefixed, without
from fragility.training.base import (
    Checkpoint,
    Fit,
    Precision,
    Recorder,
    Start,
    State,
    Training,
    Trajectory,
)
from fragility.training.restraints import Restraints


class Newton(Training):
    """Newton's method for convex objectives: the optimum itself, in a few steps.

    A stack shares one factored Hessian, that of its mean objective. Each model takes steps by it
    with its own true gradient, and where they are slow, Newton steps with its own Hessian and a
    line search. Every model's gradient norm is checked at every step. Least squares take one step.
    A model has converged when its gradient is small and, without a penalty, its next step too:
    separable classes have no finite optimum, and end as not converged after `steps` steps.

    Valid when: the objective is convex in what is trained (a linear model, or a last layer alone).
    Cost: for P parameters about P/4 gradients of one model for the factor, and then a few
    gradients a model; above 2,048 parameters conjugate gradients, a few more gradients a model.
    Reference: Boyd and Vandenberghe 2004, section 9.5; Nocedal and Wright 2006, section 7.1.
    """

    kind: Literal["newton"] = "newton"
    steps: NonNegativeInt = 100
    """Upper limit of the number of steps."""
    gradient_norm: PositiveFloat | None = None
    """Norm of the objective's gradient at the optimum; null: 1e-10 in float64, 1e-5 in float32."""
    dtype: Precision = "float64"
    """Precision of parameters and gradients."""

    @model_validator(mode="before")
    @classmethod
    def _tolerance_by_precision(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("gradient_norm") is None:
            return {**data, "gradient_norm": 1e-5 if data.get("dtype") == "float32" else 1e-10}
        return data

    def fusion(self) -> JSON:
        """Models share the precision."""
        return [self.kind, self.dtype]

    def objection(self, restraints: Restraints) -> str | None:
        """Returns why an optimum has no restraints, or None if there are none."""
        if restraints == Restraints():
            return None
        return (
            "`newton` finds the optimum itself, whose way there cannot be clipped, averaged, "
            "stopped early or decayed beside the objective. Use `full_batch` or `minibatch`."
        )

    def fit(
        self,
        stack: Sequence[Newton],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints] = (),
    ) -> Fit:
        """Solves the stack; see the class."""
        for objection in map(self.objection, restraints):
            if objection is not None:
                raise ValueError(objection)
        theta, trajectory = start.theta, recorder.trajectory

        def observe(
            step: int, here: torch.Tensor, models: torch.Tensor, data_loss: torch.Tensor
        ) -> None:
            if trajectory is not None and step % trajectory.every == 0:
                trajectory.observe(step, here, models, data_loss)

        found = optima(
            problem,
            theta,
            theta.new_tensor([one.gradient_norm for one in stack]),
            torch.tensor([one.steps for one in stack], device=theta.device),
            None if trajectory is None else observe,
            recorder.progress,
            None if recorder.checkpoint is None else _Kept(recorder.checkpoint, trajectory),
        )
        return Fit(
            theta=found.theta,
            steps=found.steps,
            grad_norm=found.grad_norm,
            initial_loss=found.initial_loss,
            final_loss=found.final_loss,
            converged=tuple(found.converged.tolist()),
            diverged=~found.finite,
            gradients="eager: Newton's method takes few",
        )


@dataclass(frozen=True)
class _Kept:
    """Keeps the state of the solver together with the notes so far."""

    checkpoint: Checkpoint
    trajectory: Trajectory | None

    def due(self) -> bool:
        return self.checkpoint.due()

    def save(self, state: State) -> None:
        notes = {} if self.trajectory is None else self.trajectory.state()
        self.checkpoint.save(prefixed("optima", state) | prefixed("trajectory", notes))

    def load(self) -> State | None:
        saved = self.checkpoint.load()
        if saved is None:
            return None
        if self.trajectory is not None:
            self.trajectory.load(without("trajectory", saved))
        return without("optima", saved)
