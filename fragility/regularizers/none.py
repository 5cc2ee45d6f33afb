"""No regularization."""

from __future__ import annotations

from typing import Literal

from fragility.numerics.network import Layout
from fragility.regularizers.base import Regularizer


class NoRegularization(Regularizer):
    """The objective is the mean loss alone.

    Valid when: the loss has an optimum without it; separable classes have none.
    Cost: none.
    """

    kind: Literal["none"] = "none"

    def decay(self, layout: Layout) -> dict[str, float]:
        """Returns zero for every parameter."""
        return dict.fromkeys(layout.names, 0.0)
