"""The points of several selectors together."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from fragility.identity import digest
from fragility.method import JSON, Room
from fragility.selectors.base import Candidates, Choice, Points, Selector

PARTS: Room[Selector] = Room("selectors", Selector, "fragility.selectors")
"""What may stand in a union: every selector but a union, which does not exist yet here."""

_TURNS = ("named", "chosen", "drawn", "rest")


class Union(Selector):
    """The points of several selectors, each choosing from what the ones before have left.

    So no point is there twice, and the number of points is the sum of the counts. Named points come
    first, then chosen ones in the order of the list; points drawn at random come last, from all
    that is left. The chosen ones are then certain and the others' probabilities known, so that
    agreement is also estimated for the population (`weighting: population`). Without a part that
    draws, probabilities are not known.

    Points chosen by one estimator's scores favour it. The union over all estimators, and a random
    part, give each the same points to be judged by.

    Valid when: the parts ask for no more points than there are; one part at most may draw.
    Cost: one retraining for every training point.
    Reference: a take-all stratum beside a sample, W. G. Cochran, Sampling Techniques (1977), 5.8.
    """

    kind: Literal["union"] = "union"
    of: Annotated[tuple[Annotated[Selector, PARTS], ...], Field(min_length=1)]
    """The selectors."""
    fix_across_repeats: bool = False
    """Let the first repeat's base model choose for all repeats, in all parts."""

    @field_validator("of")
    @classmethod
    def _fit_together(cls, of: tuple[Selector, ...]) -> tuple[Selector, ...]:
        ways = [part.way for part in of]
        if ways.count("drawn") + ways.count("rest") > 1:
            raise ValueError("two parts draw from what is left; give one of them both counts")
        if ways.count("named") > 1:
            raise ValueError("two parts name positions; name all in one")
        if any(part.fixed for part in of):
            raise ValueError("say `fix_across_repeats` of the union, not of its parts")
        return of

    @property
    def parts(self) -> list[Selector]:
        """The selectors in the order in which they choose."""
        return sorted(self.of, key=lambda part: _TURNS.index(part.way))

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """Each label once, in the order of the parts."""
        return tuple(dict.fromkeys(label for p in self.parts for label in p.needs_scores_of))

    @property
    def fixed(self) -> bool:
        """Whether the first repeat's base model chooses the points of all repeats."""
        return self.fix_across_repeats

    @property
    def varies(self) -> bool:
        """Whether a part may find fewer points than it has slots."""
        return any(part.varies for part in self.of)

    def refusal(self, task: str) -> str | None:
        """Returns the first objection of a part."""
        return next((text for part in self.of if (text := part.refusal(task))), None)

    def slots(self, size: int) -> list[JSON]:
        """Returns the parts' slots, each with what was taken before and whose scores are meant."""
        slots: list[JSON] = []
        labels = self.needs_scores_of
        for part in self.parts:
            own = part.slots(size - len(slots))
            if slots:
                scores: list[JSON] = [labels.index(label) for label in part.needs_scores_of]
                after = digest([*slots])
                own = [{"after": after, "scores": scores, "slot": slot} for slot in own]
            slots += own
        return slots

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the parts' points, part by part."""
        left: Points = np.arange(len(candidates))
        choices = []
        for part in self.parts:
            choice = part.choose(candidates.at(left))
            choices.append((left[choice.points], choice))
            left = np.delete(left, choice.points)
        probabilities = np.concatenate([choice.probabilities for _, choice in choices])
        if self.parts[-1].way in ("drawn", "rest"):
            probabilities = np.where(np.isnan(probabilities), 1.0, probabilities)
        return Choice(
            points=np.concatenate([points for points, _ in choices]),
            values=np.concatenate([choice.values for _, choice in choices]),
            probabilities=probabilities,
            roles=tuple(role for _, choice in choices for role in choice.roles),
        )
