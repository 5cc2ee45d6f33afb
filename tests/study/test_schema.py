"""The JSON Schema agrees with what loading accepts."""

import re

import pytest

from fragility.errors import StudyError
from fragility.study.load import load_text
from fragility.study.model import Study
from fragility.study.schema import study_schema
from fragility.study.shipped import shipped_studies
from fragility.study.yaml import parse
from tests.study.studies import STUDY

SCHEMA = study_schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def valid(value, schema):
    """Returns whether `value` fits: the part of JSON Schema that the schema uses, by its text."""
    if "$ref" in schema:
        return valid(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    kind = schema.get("type")
    if kind and not isinstance(value, TYPES[kind]):
        return False
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    checks = {
        "const": lambda want: value == want,
        "enum": lambda want: value in want,
        "anyOf": lambda want: any(valid(value, one) for one in want),
        "oneOf": lambda want: sum(valid(value, one) for one in want) == 1,
        "minimum": lambda want: value >= want,
        "exclusiveMinimum": lambda want: value > want,
        "maximum": lambda want: value <= want,
        "exclusiveMaximum": lambda want: value < want,
        "minItems": lambda want: len(value) >= want,
        "maxItems": lambda want: len(value) <= want,
        "minProperties": lambda want: len(value) >= want,
        "minLength": lambda want: len(value) >= want,
        "maxLength": lambda want: len(value) <= want,
        "pattern": lambda want: re.search(want, value) is not None,
        "required": lambda want: set(want) <= set(value),
        "items": lambda want: all(valid(item, want) for item in value),
        "prefixItems": lambda want: all(map(valid, value, want)),
        "propertyNames": lambda want: all(valid(key, want) for key in value),
    }
    known = {"type", "properties", "patternProperties", "additionalProperties", "discriminator"}
    known |= {"title", "description", "default", "$schema", "$defs", "format", "uniqueItems"}
    assert set(schema) <= known | set(checks), set(schema) - known - set(checks)
    if not all(check(schema[name]) for name, check in checks.items() if name in schema):
        return False
    return not isinstance(value, dict) or fits_properties(value, schema)


def fits_properties(value, schema):
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    rest = schema.get("additionalProperties", True)
    for key, item in value.items():
        matching = [properties[key]] if key in properties else []
        matching += [inner for pattern, inner in patterns.items() if re.search(pattern, key)]
        if not matching and rest is not True:
            matching = [rest] if rest else [{"enum": []}]
        if not all(valid(item, inner) for inner in matching):
            return False
    return True


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_are_valid(name):
    assert valid(parse(shipped_studies()[name].read_text(encoding="utf-8")).plain(), SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed", "seed"),
        ("study: depth", "studie: depth"),
        ("study: depth", "study: my depth"),
        ("repeats: 2", "repeats: 0"),
        ("repeats: 2", "repeats: two"),
        ("kind: linear", "kind: liner"),
        ("{kind: linear}", "{}"),
        ("{kind: exact, p", "{p"),
        ("damping: 1e-2", "damping: -1"),
        ("damping: 1e-2", "dampng: 1"),
        ("estimator: exact, ", ""),
        ("  linear:", "  lin.ear:"),
        ("[pearson", "[pearsn"),
        ("[pearson, ", "[pearson, spearman, "),
        ("steps: 100", "steps: 1e2"),
        ("steps: 100", "steps: 1.5"),
        ("hold_out: [83]", "subset: {train: 1.0}, hold_out: [83]"),
        ("hold_out: [83]", "subset: {train: 0}, hold_out: [83]"),
        ("datasets:\n  iris: {kind: iris, standardize: train, hold_out: [83]}", "datasets: {}"),
    ],
)
def test_the_schema_accepts_what_loads_and_refuses_what_does_not(old, new):
    text = STUDY.replace(old, new)
    try:
        load_text(text, shipped_studies()["quickstart"])
    except StudyError:
        loads = False
    else:
        loads = True
    assert valid(parse(text).plain(), SCHEMA) == loads


def test_every_key_of_a_study_is_described():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$id" not in SCHEMA
    assert set(SCHEMA["properties"]) == set(Study.model_fields)
    assert all(field["description"] for field in SCHEMA["properties"].values())
