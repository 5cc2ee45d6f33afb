"""Any convex stack, by automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fragility.numerics.convex import base
from fragility.numerics.convex.base import ConvexStack, Linearization, Preconditioner
from fragility.numerics.convex.preconditioners import Identity, factored
from fragility.numerics.network import activations
from fragility.numerics.stack import StackProblem


@dataclass(frozen=True)
class GeneralStack(ConvexStack):
    """Convex objectives of any network; products cost two passes backwards."""

    problem: StackProblem

    @property
    def models(self) -> int:
        """Number of models."""
        return self.problem.models

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.problem.layout.size

    @property
    def quadratic(self) -> bool:
        """Not that it would be known."""
        return False

    @property
    def price(self) -> float:
        """A product for each coordinate."""
        return self.size

    @property
    def has_optimum(self) -> bool:
        """Whether every strength is above zero."""
        return bool((self.problem.decay > 0).all())

    @property
    def bytes_a_model(self) -> int:
        """The activations of all examples, forwards and twice backwards."""
        problem = self.problem
        example = tuple(problem.inputs.shape[2 if problem.own_inputs else 1 :])
        numbers = problem.weights.shape[1] * activations(problem.network, example)
        return 4 * numbers * problem.weights.element_size()

    def evaluate(self, theta: Tensor) -> Linearization:
        """Returns objectives and gradients; the curvature is had from theta itself."""
        found = self.problem.evaluate(theta)
        return Linearization(found.objective, found.data_loss, found.gradient, [theta])

    def product(self, at: Linearization, tangent: Tensor) -> Tensor:
        """Returns the Hessians times `tangent`: the gradient of the slope along it."""
        problem = self.problem
        point = at.curvature[0].detach().requires_grad_()
        with torch.enable_grad():
            outputs = problem.outputs(point, problem.inputs, own_inputs=problem.own_inputs)
            losses = problem.loss.per_example(outputs, problem.targets)
            total = (problem.weights * losses).sum()
            (gradient,) = torch.autograd.grad(total, point, create_graph=True)
            (product,) = torch.autograd.grad((gradient * tangent).sum(), point)
        bent: Tensor = product + problem.decay * tangent
        for term in problem.terms:
            bent = bent + term.strength * term.form.bend(at.curvature[0]) * tangent
        return bent

    def shift(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Returns the largest change of an output, a shift of all outputs counted too."""
        problem = self.problem
        before, after = (
            problem.outputs(point, problem.inputs, own_inputs=problem.own_inputs)
            for point in (theta, theta + direction)
        )
        return (after - before).abs().flatten(1).amax(dim=1)

    def precondition(self, theta: Tensor) -> Preconditioner:
        """Returns the factored Hessian while it fits, and nothing beyond."""
        if self.size > base.FACTOR_LIMIT:
            return Identity()
        rows = max(1, base.STACK_BYTES // self.bytes_a_model)
        mean = self.problem.select(slice(0, 1))
        mean = replace(
            mean,
            weights=self.problem.weights.mean(dim=0, keepdim=True),
            decay=self.problem.decay.mean(dim=0, keepdim=True),
        )
        identity = torch.eye(self.size, dtype=theta.dtype, device=theta.device)
        parts = []
        for columns in torch.split(identity, rows):
            index = torch.zeros(len(columns), dtype=torch.long, device=theta.device)
            copies = GeneralStack(mean.select(index))
            at = Linearization(theta, theta, theta, [theta.expand(len(columns), -1)])
            parts.append(copies.product(at, columns))
        hessian = torch.cat(parts)
        return factored((hessian + hessian.T) / 2)

    def select(self, index: Tensor | slice) -> GeneralStack:
        """Returns some of the models."""
        return GeneralStack(self.problem.select(index))
