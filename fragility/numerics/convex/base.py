"""What Newton's method asks of a stack of convex objectives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

FACTOR_LIMIT = 2048
"""Largest number of coordinates whose Hessian is written out and factored."""

LEADING = 1024
"""Number of coordinates that are factored where all are too many."""

MOMENTS_LIMIT = 6144
"""Largest number of features whose second moments are written out."""

STACK_BYTES = 256 * 2**20
"""Working memory of the models that are solved together."""


@dataclass(frozen=True)
class Linearization:
    """K objectives at one point each.

    Objective (K,), its weighted mean loss without penalty (K,), its gradient (K, P), and what the
    products with the Hessian there need, each tensor with a leading model axis.
    """

    objective: Tensor
    data_loss: Tensor
    gradient: Tensor
    curvature: Sequence[Tensor]

    def select(self, index: Tensor) -> Linearization:
        """Returns some of the models."""
        return Linearization(
            self.objective[index],
            self.data_loss[index],
            self.gradient[index],
            [part[index] for part in self.curvature],
        )


class Preconditioner(ABC):
    """An approximate inverse of a Hessian, symmetric and positive definite."""

    close: bool
    """Whether it is close enough to the inverse to take a step by it alone."""

    @abstractmethod
    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the approximate inverse times each row of `rhs` (K, P)."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Returns the contiguous tensors it is made of; see `preconditioners.restored`."""


class ConvexStack(ABC):
    """The objectives of K models with P coordinates each; they do not interact."""

    @property
    @abstractmethod
    def models(self) -> int:
        """Number of models."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coordinates."""

    @property
    @abstractmethod
    def quadratic(self) -> bool:
        """Whether every objective is quadratic."""

    @property
    @abstractmethod
    def has_optimum(self) -> bool:
        """Whether a finite optimum is known to exist: all is penalized, or quadratic."""

    @property
    @abstractmethod
    def bytes_a_model(self) -> int:
        """Working memory of one model."""

    @property
    @abstractmethod
    def price(self) -> float:
        """What `precondition` costs, in products of one model."""

    @abstractmethod
    def evaluate(self, theta: Tensor) -> Linearization:
        """Returns objectives, gradients and curvature at theta (K, P)."""

    @abstractmethod
    def product(self, at: Linearization, tangent: Tensor) -> Tensor:
        """Returns each model's Hessian at `at` times `tangent` (K, P)."""

    @abstractmethod
    def shift(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Returns by how much a step changes any output of each model, at most (K,)."""

    @abstractmethod
    def precondition(self, theta: Tensor) -> Preconditioner:
        """Returns the inverse Hessian of the mean objective at theta (P,), or what it can of it."""

    @abstractmethod
    def select(self, index: Tensor | slice) -> Self:
        """Returns the stack of some of the models."""
