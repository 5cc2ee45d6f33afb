"""How often retrainings are done: a number, or as often as their noise asks for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TargetReliability(BaseModel):
    """As many replicates as it takes for their mean to have a reliability.

    A pilot measures the reliability of one replicate; Spearman and Brown's formula says how many
    reach the target. The number is that of the arm that needs most, so that arms stay comparable;
    `max` bounds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_reliability: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Reliability that the mean over replicates is to reach; a perfect score then correlates with
    it by the root of this."""
    pilot: Annotated[int, Field(ge=2)] = 10
    """Replicates to begin with; they count."""
    max: Annotated[int, Field(ge=2)] = 200
    """Most replicates."""

    @model_validator(mode="after")
    def _grows(self) -> TargetReliability:
        if self.max < self.pilot:
            raise ValueError(f"`max` {self.max} is below `pilot` {self.pilot}")
        return self
