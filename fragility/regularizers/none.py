"""No regularization."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.regularizers.base import Regularizer


class NoRegularization(Regularizer):
    """The objective is the mean loss alone.

    Valid when: the loss has an optimum without it; separable classes have none.
    Cost: none.
    """

    per_model: ClassVar[bool] = True

    kind: Literal["none"] = "none"
