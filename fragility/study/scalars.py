"""What an unquoted word of YAML 1.2 means: the core schema, kept to what a study can hold."""

from __future__ import annotations

import re
from math import isfinite

from fragility.study.nodes import Scalar

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# `int` refuses thousands of digits; no number of 64 bits has this many.
_MOST_DIGITS = 25


def resolved(text: str) -> Scalar:
    """Returns the value of an unquoted word; `1e-3` is a number, `on` a word.

    A power of ten without a point is whole where it can be: `1e4` counts steps. `1.0` stays a
    fraction's number, since `1` may mean one example where `1.0` means all of them.

    Raises:
        ValueError: an infinity, a NaN, or a whole number beyond 64 bits.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _DECIMAL.fullmatch(text):
        return _whole(text, 10)
    if _PREFIXED.fullmatch(text):
        return _whole(text, 0)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"`{text}` is not a number a study can hold.")
    if _FLOAT.fullmatch(text):
        return _number(float(text), "." in text)
    return text


def _whole(text: str, base: int) -> int:
    number = int(text, base) if len(text) <= _MOST_DIGITS else 2**63
    if not -(2**63) <= number < 2**63:
        raise ValueError("this whole number does not fit in 64 bits.")
    return number


def _number(number: float, pointed: bool) -> int | float:
    if not isfinite(number):
        raise ValueError("this number is too large; the largest is about 1.8e308.")
    whole = number.is_integer() and not pointed and abs(number) < 2**53
    return int(number) if whole else number
