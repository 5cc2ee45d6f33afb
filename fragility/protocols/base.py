"""What a protocol is: a rule over stored scores and effects that gives one number, or a reason."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fragility.method import Method, Room
from fragility.protocols._rules import Repeats, Rule, Specification, evaluate
from fragility.protocols._stored import Stored


@dataclass(frozen=True)
class Rescored:
    """What a protocol makes of an arm: one specification, or the `reason` why there is none."""

    specification: Specification | None
    reason: str | None


class Protocol(Method):
    """A published way to choose points, truth, metric and average.

    It is applied to what a study has stored: nothing is trained for it, and a study with it has the
    same tasks as without.
    """

    truths: ClassVar[tuple[str, ...]]
    """Truths that serve it, the best first; words of the ladder of truths."""
    groups: ClassVar[bool] = False
    """Whether it compares removals of groups, not of points."""
    truths_in_words: ClassVar[str]

    @abstractmethod
    def rule(self, stored: Stored) -> Rule:
        """Returns the rule for arrays such as `stored`."""

    def fewest(self) -> int:
        """Returns how many removals the rule needs."""
        return 4

    def more(self) -> str:
        """Returns what to do where too few were removed; a full sentence, or nothing."""
        return ""

    def rescored(self, arm: Mapping[str, Sequence[Stored]]) -> Rescored:
        """Returns the number of an arm: by the label of each procedure, its repeats.

        A truth that moves the parameters the score covers comes before one that does not; the
        latter's number carries the badge. Of several procedures with the same truth the first in
        alphabetical order is taken.
        """
        of_sort = {p: repeats for p, repeats in sorted(arm.items()) if self._serves(repeats)}
        label = min(of_sort, key=lambda p: self._place(of_sort[p][0]), default=None)
        if label is None:
            return Rescored(None, f"The study stores no {self.truths_in_words}.")
        repeats = of_sort[label]
        removed = min(len(stored.removed) for stored in repeats)
        if removed < self.fewest():
            what = "groups" if self.groups else "points"
            reason = f"{removed} {what} were removed; it takes {self.fewest()}. {self.more()}"
            return Rescored(None, reason.strip())
        rule = self.rule(repeats[0])
        if min(stored.replicates for stored in repeats) == 1:
            rule = replace(rule, truth="single")
        number = evaluate(rule, Repeats(repeats))
        if not np.isfinite(number.value):
            return Rescored(None, "Scores or effects are constant.")
        return Rescored(Specification(rule, label, number, repeats[0].mismatch), None)

    def _place(self, stored: Stored) -> tuple[bool, int]:
        return bool(stored.mismatch), self.truths.index(stored.truth)

    def _serves(self, repeats: Sequence[Stored]) -> bool:
        return (
            bool(repeats) and repeats[0].group == self.groups and (repeats[0].truth in self.truths)
        )


PROTOCOLS: Room[Protocol] = Room("protocols", Protocol, "fragility.protocols")
