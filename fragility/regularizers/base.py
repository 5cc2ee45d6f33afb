"""What a regularizer is: strengths of a quadratic penalty on the parameters."""

from __future__ import annotations

from abc import abstractmethod

from fragility.method import Method, Room
from fragility.numerics.network import Layout


class Regularizer(Method):
    """A change of the objective J = mean loss + penalty."""

    @abstractmethod
    def decay(self, layout: Layout) -> dict[str, float]:
        """Returns the L2 strength s of each parameter; the penalty sums (s/2) ||theta||^2."""


REGULARIZERS: Room[Regularizer] = Room("regularizers", Regularizer, "fragility.regularizers")
