"""Protocols: how published work made one number of scores and effects, as views of stored ones."""

from fragility.protocols._intervals import with_intervals
from fragility.protocols._repeats import of_repeats
from fragility.protocols._rules import DIMENSIONS, Number, Rule, Specification
from fragility.protocols._specification import (
    AGGREGATIONS,
    METRICS,
    REMOVALS,
    TESTS,
    Curve,
    curve,
)
from fragility.protocols._stored import Stored
from fragility.protocols._words import WORDS, words
from fragility.protocols.base import PROTOCOLS, Protocol, Rescored

__all__ = [
    "AGGREGATIONS",
    "DIMENSIONS",
    "METRICS",
    "PROTOCOLS",
    "REMOVALS",
    "TESTS",
    "WORDS",
    "Curve",
    "Number",
    "Protocol",
    "Rescored",
    "Rule",
    "Specification",
    "Stored",
    "curve",
    "of_repeats",
    "with_intervals",
    "words",
]
