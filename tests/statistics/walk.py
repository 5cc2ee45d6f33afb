"""What every answer must be: no NaN anywhere in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping


def numbers(answer: object) -> Iterator[float]:
    if dataclasses.is_dataclass(answer):
        for field in dataclasses.fields(answer):
            yield from numbers(getattr(answer, field.name))
    elif isinstance(answer, Mapping):
        yield from numbers(tuple(answer.values()))
    elif isinstance(answer, tuple | list):
        for part in answer:
            yield from numbers(part)
    elif isinstance(answer, float):
        yield answer


def has_nan(answer: object) -> bool:
    return any(math.isnan(number) for number in numbers(answer))


def within(share: float, level: float, trials: int) -> bool:
    """Whether a share of so many trials is within three standard errors of its level."""
    return abs(share - level) <= 3 * math.sqrt(level * (1 - level) / trials)
