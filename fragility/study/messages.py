"""One validation error in the words of the person who wrote the file."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from fragility.errors import did_you_mean
from fragility.study.nodes import Node

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "string_type": "text",
    "path_type": "text, the path of a file",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing (`null`)",
}
_COMPARISON = {
    "greater_than": ("gt", "a number greater than {}"),
    "greater_than_equal": ("ge", "a number of at least {}"),
    "less_than": ("lt", "a number less than {}"),
    "less_than_equal": ("le", "a number of at most {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "string_too_short": ("min_length", "text of at least {} characters"),
    "string_too_long": ("max_length", "text of at most {} characters"),
}

_HALF = ("float16", "bfloat16", "half", "fp16", "bf16")
_WHY_NOT_HALF = (
    "Half precision keeps 3 digits of a number (`bfloat16` 2): second derivatives, their inverse "
    "and the small change of a loss that a removal makes would be rounding errors."
)


def expectation(error: ErrorDetails) -> str | None:
    """Returns what the error expected, to stand after "expected", if it is of that sort."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _COMPARISON:
        name, phrase = _COMPARISON[kind]
        return phrase.format(_number(context[name]))
    if kind in ("literal_error", "enum"):
        return _one_of(context)
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        length = context["min_length" if least else "max_length"]
        entries = "entry" if length == 1 else "entries"
        return f"at {'least' if least else 'most'} {length} {entries}"
    return None


def message(error: ErrorDetails, node: Node | None) -> str:
    """Returns the error as a sentence about `node`, the value it stands at."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum") and node and isinstance(node.value, str):
        words = [word.strip("'") for word in _alternatives(context)]
        said = f"{quoted(node.value)} is not one of {listed(words)}."
        if node.value in _HALF and "float64" in words:
            return f"{said} {_WHY_NOT_HALF}"
        return said + did_you_mean(node.value, words)
    if kind == "string_pattern_mismatch":
        return (
            f"{quoted(error['input'])} is not a name: letters, digits, `_` and `-`, "
            "beginning with a letter or a digit."
        )
    if kind in ("too_short", "too_long"):
        return f"expected {expectation(error)}, got {context['actual_length']}."
    if kind in ("value_error", "assertion_error"):
        return sentence(str(context.get("error", error["msg"])))
    expected = expectation(error)
    if expected is None:
        said = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        return sentence(said[:1].lower() + said[1:])
    hint = " Put it in quotes." if kind == "string_type" and _scalar(node) else ""
    return f"expected {expected}, got {got(node)}.{hint}"


def nearest(error: ErrorDetails, node: Node | None) -> str:
    """Returns which of the words that an error lists may be meant by the one that stands there."""
    if error["type"] in ("literal_error", "enum") and node and isinstance(node.value, str):
        return did_you_mean(node.value, [w.strip("'") for w in _alternatives(error.get("ctx", {}))])
    return ""


def got(node: Node | None) -> str:
    """Returns what stands in the file, in words."""
    if node is None or node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return f"`{str(node.value).lower()}`"
    if isinstance(node.value, int | float):
        return f"the number `{node.value}`"
    if isinstance(node.value, str):
        return f"the text {quoted(node.value)}"
    return "a list" if isinstance(node.value, tuple) else "a mapping"


def unknown(what: str, word: object, known: Sequence[str]) -> str:
    """Returns ``unknown <what> `word`.`` with the nearest and with all known words."""
    near = did_you_mean(str(word), known)
    all_known = f" Known: {listed(known)}." if known else ""
    return f"unknown {what} {quoted(word)}.{near}{all_known}"


def listed(words: Sequence[str]) -> str:
    """Returns the words in backticks with commas between."""
    return ", ".join(quoted(word) for word in words)


def quoted(value: object) -> str:
    """Returns a value in backticks, on one line, printable and not too long."""
    return f"`{shortened(str(value), 60)}`"


def shortened(text: str, length: int) -> str:
    """Returns the text printable and no longer than `length`."""
    text = printable(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def printable(text: str) -> str:
    """Returns `text` with a space for every character that would not stay on its line."""
    return "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in text)


def sentence(text: str) -> str:
    """Returns `text` on one line, with a full stop."""
    line = printable(" ".join(text.split()))
    return line if line.endswith((".", "?")) else f"{line}."


def _scalar(node: Node | None) -> bool:
    return node is not None and isinstance(node.value, bool | int | float)


def _alternatives(context: dict[str, Any]) -> list[str]:
    return str(context["expected"]).replace(" or ", ", ").split(", ")


def _one_of(context: dict[str, Any]) -> str:
    words = [word.strip("'") for word in _alternatives(context)]
    return f"`{words[0]}`" if len(words) == 1 else f"one of {listed(words)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
