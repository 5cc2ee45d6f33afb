"""Specifications evaluated in every repeat, so that choices can be told from repeats."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from fragility.protocols._rules import Repeats, Specification, evaluate
from fragility.protocols._specification import rules
from fragility.protocols._stored import Stored

Name = TypeVar("Name", bound=Hashable)


def of_repeats(
    procedure: str, repeats: Mapping[Name, Stored]
) -> Iterator[tuple[Name, Specification]]:
    """Yields every specification of a signed correlation that a single repeat has, in each of them.

    Those that average scores and effects over repeats are left out, and so are procedures that
    remove groups.

    Cost: some forty correlations of all pairs.
    """
    kept = [
        rule
        for rule in rules(list(repeats.values()))
        if rule.measure != "|spearman|" and rule.aggregation != "of_means"
    ]
    for name, stored in repeats.items():
        if not stored.group:
            one = Repeats([stored])
            for rule in kept:
                yield name, Specification(rule, procedure, evaluate(rule, one), stored.mismatch)
