"""Laws of the class: what it says of itself, and what a study can rely on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import get_args

from pydantic import ValidationError

from fragility.estimators import Estimator
from fragility.identity import digest
from fragility.method import kind_of
from fragility.study.describe import documentation


def assert_documented(method: type[Estimator]) -> None:
    """The class says what it is: kind, one sentence, when it is valid, cost, reference, fields."""
    missing = list(_undocumented(method))
    if missing:
        raise AssertionError(f"`{method.__name__}` is not documented: {'; '.join(missing)}.")


def _undocumented(method: type[Estimator]) -> Iterator[str]:
    if not get_args(method.model_fields["kind"].annotation):
        yield 'it has no `kind: Literal["word"] = "word"`'
        return
    kind = kind_of(method)
    if not re.fullmatch("[a-z][a-z0-9_]*", kind):
        yield f"its kind `{kind}` is not a word of small letters, digits and `_`"
    if method.model_fields["kind"].default != kind:
        yield f'its kind has no default: write `kind: Literal["{kind}"] = "{kind}"`'
    said = documentation("estimators", method)
    if not said.summary.endswith(".") or ". " in said.summary:
        yield f"its docstring must open with one sentence, not with `{said.summary}`"
    marks = {"Valid when": said.valid_when, "Cost": said.cost, "Reference": said.reference}
    for mark, text in marks.items():
        if not text:
            yield f"its docstring has no `{mark}: ...`"
    for field in said.fields:
        if not field.description:
            yield f"there is no docstring below its field `{field.name}`"


def assert_identity(estimator: Estimator) -> None:
    """Fields are frozen, hashable and plain data, and all of them are part of the identity."""
    kind, identity = estimator.kind, estimator.identity()
    missing = [field for field in type(estimator).model_fields if field not in identity]
    if missing:
        raise AssertionError(f"`{kind}`: identity() leaves out {', '.join(missing)}.")
    try:
        digest(identity)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"`{kind}`: identity() is not plain JSON: {error}.") from error
    try:
        hash(estimator)
    except TypeError as error:
        raise AssertionError(
            f"`{kind}` must be hashable, but: {error}. Use tuples in its fields."
        ) from error
    try:
        setattr(estimator, "kind", kind)  # noqa: B010
    except ValidationError:
        pass
    else:
        raise AssertionError(f"`{kind}` must be frozen, but its fields can be set.")
    _assert_round_trip(estimator)


def _assert_round_trip(estimator: Estimator) -> None:
    text = estimator.model_dump_json()
    try:
        again = type(estimator).model_validate_json(text, strict=True)
    except ValidationError as error:
        raise AssertionError(f"`{estimator.kind}` does not read its own {text}: {error}") from error
    if again != estimator or digest(again.identity()) != digest(estimator.identity()):
        told = json.dumps(again.identity(), sort_keys=True)
        raise AssertionError(f"`{estimator.kind}` read from its own {text} is another: {told}.")
