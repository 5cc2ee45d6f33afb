"""Documentation read from the classes."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, JsonValue, PositiveInt

from fragility.errors import UsageError
from fragility.study.describe import describe, describe_room, room, room_names
from fragility.study.shapes import Shape
from fragility.study.words import words


@pytest.mark.parametrize("name", room_names())
def test_every_method_is_documented(name):
    found = describe_room(name)
    assert [doc.kind for doc in found] == list(room(name).methods)
    for doc in found:
        assert doc.room == name
        assert doc.summary.endswith(".")
        assert "\n" not in doc.summary
        assert doc.valid_when
        assert doc.cost
        assert "Valid when" not in doc.prose
        for field in doc.fields:
            assert field.type
            assert field.description, f"{name} {doc.kind} {field.name}"


def test_one_method():
    doc = describe("models", "mlp")
    fields = {field.name: field for field in doc.fields}
    assert doc.summary == (
        "A fully connected network: affine layers with an activation between them."
    )
    assert "kind" not in fields
    assert fields["hidden"].type == "list of whole numbers > 0 | null"
    assert fields["hidden"].default == "null"
    assert fields["activation"].default == "relu"
    strength = next(f for f in describe("regularizers", "weight_decay").fields)
    assert (strength.name, strength.type, strength.default) == ("strength", "number >= 0", None)


def test_a_default_that_is_a_method_is_written_as_in_a_study():
    fields = {field.name: field for field in describe("training", "full_batch").fields}
    assert fields["schedule"].default == "{kind: none}"
    assert fields["schedule"].type == "one of the schedules"


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(UsageError) as error:
        describe_room("model")
    assert str(error.value).startswith("`model` is not a kind of method. Did you mean `models`?")
    with pytest.raises(UsageError) as error:
        describe("models", "mlpp")
    assert str(error.value).startswith("`mlpp` is not one of the models. Did you mean `mlp`?")


class Inner(BaseModel):
    a: int
    b: int


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, "whole number"),
        (float | None, "number | null"),
        (bool, "true | false"),
        (Literal["a", "b"], "a | b"),
        (tuple[PositiveInt, ...], "list of whole numbers > 0"),
        (list[str], "list of texts"),
        (tuple[Literal["a", "b"], ...], "list of a | b"),
        (Annotated[float, Field(ge=0, lt=1)], "number >= 0, < 1"),
        (dict[str, float], "mapping of numbers"),
        (dict[str, JsonValue], "mapping of values"),
        (Inner | None, "mapping with a, b | null"),
    ],
)
def test_types_in_words(annotation, expected):
    assert words(Shape.of(annotation)) == expected


def test_a_mapping_with_keys_of_its_own_is_documented_key_by_key():
    fields = {field.name: field for field in describe("estimators", "exact").fields}
    departures = fields["departures"]
    assert list(fields)[-1] == "departures"
    assert departures.default == "{}"
    inner = {field.name: field for field in departures.fields}
    assert (inner["divisor"].type, inner["divisor"].default) == ("n | number > 0", "n")
    assert all(field.description for field in departures.fields)
    (relative,) = fields["damping"].fields
    assert (relative.name, relative.default) == ("relative", None)
    assert fields["curvature"].fields == ()
