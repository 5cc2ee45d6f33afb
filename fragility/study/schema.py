"""The JSON Schema of a study, for editors."""

from __future__ import annotations

from typing import Any

from fragility.study.model import Study


def study_schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a study, a description with every key."""
    schema = Study.model_json_schema(mode="validation")
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
