"""What a study declares, as run: its text, changed by the overrides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

NULLS = ("random", "untrained")
EQUIVALENCE_MARGIN = 0.1
"""The margin of a study that declares none; stores hold the text of studies, not their defaults."""


def declared(run: Mapping[str, Any], key: str) -> Any:
    """Returns the value of a key at the top of the study, None where it is not declared."""
    written = _yaml(run.get("study_text") or "")
    value = written.get(key) if isinstance(written, dict) else None
    for override in json.loads(run.get("overrides") or "[]"):
        path, _, text = override.partition("=")
        first, *below = path.strip().split(".")
        if first == key:
            value = _with(value, below, _yaml(text))
    return value


def _with(value: Any, path: Sequence[str], new: Any) -> Any:
    """Returns `value` with `new` at a path of keys and positions."""
    if not path:
        return new
    step, below = path[0], path[1:]
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        place = int(step)
        return [*value[:place], _with(value[place], below, new), *value[place + 1 :]]
    known = value if isinstance(value, dict) else {}
    return {**known, step: _with(known.get(step), below, new)}


def equivalence_margin(run: Mapping[str, Any]) -> float:
    """Returns up to which difference the study calls correlations equivalent."""
    value = declared(run, "equivalence_margin")
    return float(value) if isinstance(value, int | float) else EQUIVALENCE_MARGIN


def nulls(run: Mapping[str, Any]) -> frozenset[str]:
    """Returns the labels of the estimators that know nothing of the trained model, by design."""
    estimators = declared(run, "estimators")
    if not isinstance(estimators, dict):
        return frozenset()
    return frozenset(
        str(label)
        for label, fields in estimators.items()
        if isinstance(fields, dict) and fields.get("kind") in NULLS
    )


def _yaml(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return None
