"""The JSON Schema of a study, for editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from fragility.field_docs import field_docs
from fragility.study.model import Study


class _Described(GenerateJsonSchema):
    """A schema in which every key says what is written below its field."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, text in field_docs(model).items():
            if name in found["properties"]:
                found["properties"][name]["description"] = text
        return found


def study_schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a study, a description with every key."""
    schema = Study.model_json_schema(schema_generator=_Described, mode="validation")
    for definition in schema["properties"].values():
        if "patternProperties" in definition:
            definition["additionalProperties"] = False
    for definition in schema.get("$defs", {}).values():
        # An editor tells the methods of a room apart by `kind`, so that it must be written.
        if "const" in definition.get("properties", {}).get("kind", {}):
            definition["required"] = sorted({"kind", *definition.get("required", [])})
            del definition["properties"]["kind"]["default"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A fragility study",
    }
