"""Protocols that keep so many of the removed points."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fragility.protocols.base import Protocol

Count = Annotated[int, Field(ge=4)]


class TopProtocol(Protocol):
    """A protocol that looks at the `points` removed points at the top of some order."""

    points: Count

    def fewest(self) -> int:
        """Returns `points`: fewer would be another selection."""
        return self.points

    def more(self) -> str:
        """Returns how to apply the rule to fewer points."""
        return f"`{{kind: {self.kind}, points: N}}` applies its rule to N."
