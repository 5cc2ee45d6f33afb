"""Points named one by one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, field_validator

from fragility.errors import UsageError
from fragility.method import JSON
from fragility.selectors.base import Candidates, Choice, Selector


class Indices(Selector):
    """Points by their 0-based position in the training or test set as used.

    Valid when: always.
    Cost: one retraining for every training point named.
    """

    way: ClassVar = "named"
    kind: Literal["indices"] = "indices"
    indices: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    """The positions."""

    @field_validator("indices")
    @classmethod
    def _are_different(cls, indices: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(indices)) < len(indices):
            raise ValueError("a position stands in the list twice")
        return indices

    def slots(self, size: int) -> list[JSON]:
        """Returns the points themselves."""
        outside = [index for index in self.indices if index >= size]
        if outside:
            raise UsageError(f"`indices` names {outside[0]}, but positions end at {size - 1}.")
        return list(self.indices)

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the positions, chosen by no value."""
        return self.chosen(np.asarray(self.indices))
