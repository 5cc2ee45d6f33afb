"""When the gradients of a stack in training are compiled."""

from __future__ import annotations

import torch

from fragility.numerics.compilation import COMPILED, SHARED_ONLY, compiled, worth
from fragility.numerics.stack import StackProblem
from fragility.training.base import State


class Compiling:
    """Compiles at once what is known to pay, and everything else once it would have paid.

    How many steps a model takes is not known where it may stop early. What has taken so many that
    compiling would have paid is compiled then: never much more than twice the time of the better
    choice is lost. So is a stack that has become too small for what was compiled before.
    """

    def __init__(
        self, problem: StackProblem, known: int, batch: int | None = None, *, shared: bool = True
    ) -> None:
        """Decides about the whole stack.

        Args:
            problem: the objectives.
            known: how many gradients they take at least, of all models together.
            batch: examples of a gradient on minibatches; None: all examples.
            shared: whether all models see the same batches.
        """
        self.batch, self.spent = batch, 0
        self.problem, self.how = problem, f"eager: {SHARED_ONLY}"
        self.worth = worth(problem, batch or problem.weights.shape[1]) if shared else None
        if shared:
            self._compile(problem, known)

    def spend(self, problem: StackProblem) -> StackProblem:
        """Returns the problem of the next gradients, after one of each of its models."""
        self.problem, made = problem, problem.compiled
        if self.worth is None or (made is not None and problem.models >= made.models):
            return problem
        self.spent += problem.models
        if self.spent >= self.worth:
            self._compile(problem, self.spent)
        return self.problem

    def state(self) -> State:
        """Returns how many gradients were spent, and for how many models was compiled, or 0."""
        made = self.problem.compiled
        return {"counts": torch.tensor([self.spent, 0 if made is None else made.models])}

    def load(self, problem: StackProblem, state: State) -> StackProblem:
        """Returns the problem of an interrupted stack, compiled as it was."""
        self.problem = problem
        spent, models = state["counts"].tolist()
        made = problem.compiled
        if models and (made is None or made.models != models):
            self._compile(problem, self.worth or 0, models)
        self.spent = spent
        return self.problem

    def _compile(self, problem: StackProblem, gradients: int, models: int | None = None) -> None:
        before = self.how
        self.problem, self.how = compiled(problem, gradients, self.batch, models)
        self.spent = 0
        if self.worth is not None and gradients >= self.worth and self.how != COMPILED:
            # It failed, and would again.
            self.worth = None
        if before == COMPILED:
            self.how = COMPILED
