"""What stands below fields, held against what pydantic reads there."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, create_model

from fragility.field_docs import field_docs


class Plain(BaseModel):
    """A class with some texts."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first: int = 1
    """The first,
    on two lines."""
    second: int = 2
    third: int = 3
    # A comment between is no matter.
    """The third."""

    class Inner(BaseModel):
        """A class within."""

        model_config = ConfigDict(use_attribute_docstrings=True)

        deep: int = 0
        """Deep down."""

    def method(self) -> None:
        """Is no field."""


class Heir(Plain):
    """Adds one and says another anew."""

    second: int = 3
    """Said anew."""
    fourth: int = 4
    """The fourth."""


def local() -> type[BaseModel]:
    class Plain(BaseModel):
        """Of the same name as another."""

        model_config = ConfigDict(use_attribute_docstrings=True)

        first: int = 1
        """Within a function."""

    return Plain


@pytest.mark.parametrize("model", [Plain, Plain.Inner, Heir, local()])
def test_texts_are_those_that_pydantic_reads(model: type[BaseModel]) -> None:
    expected = {
        name: field.description for name, field in model.model_fields.items() if field.description
    }

    assert expected
    assert field_docs(model) == expected


def test_a_class_without_source_has_none() -> None:
    assert field_docs(create_model("Made", first=(int, 1))) == {}
