"""The published numbers that travel with the program: one JSON file a publication."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fragility.errors import UsageError, did_you_mean

Values = tuple[float | None, ...]
"""One value a run; None where the published one is not finite."""


@dataclass(frozen=True)
class PublishedSetting:
    """One setting of an experiment: every run's value of each quantity.

    A correlation is over `pairs` pairs of score and effect, with its sign.
    """

    pairs: int
    values: Mapping[str, Values]


@dataclass(frozen=True)
class PublishedFamily:
    """Experiments that differ in one thing; without settings, the numbers are not here."""

    title: str
    script: str
    figure: str
    note: str
    settings: Mapping[str, PublishedSetting]


@dataclass(frozen=True)
class PublishedRun:
    """One run's estimated and true differences, in the order in which points were removed.

    `run` is its 0-based place among the values of the setting, `figure` where it is drawn.
    """

    family: str
    setting: str
    run: int
    figure: str
    scores: tuple[float, ...]
    effects: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """A publication's numbers, where they come from, and what must be known to use them."""

    name: str
    title: str
    citation: str
    repository: str
    commit: str
    licence: str
    notes: tuple[str, ...]
    quantities: Mapping[str, str]
    runs: tuple[PublishedRun, ...]
    families: Mapping[str, PublishedFamily]


def reference_names() -> list[str]:
    """Returns the names of the publications, in alphabetical order."""
    found = files("fragility.references").iterdir()
    return sorted(item.name.removesuffix(".json") for item in found if item.name.endswith(".json"))


@cache
def load_reference(name: str) -> Published:
    """Returns a publication's numbers by its name, such as `epifano-2023`.

    Raises:
        UsageError: there is none of that name.
    """
    known = reference_names()
    if name not in known:
        near = did_you_mean(name, known)
        listed = ", ".join(f"`{one}`" for one in known)
        raise UsageError(f"there is no reference `{name}`.{near}", f"Known: {listed}.")
    text = (files("fragility.references") / f"{name}.json").read_text(encoding="utf-8")
    fields: dict[str, Any] = json.loads(text)
    families = {key: _family(**value) for key, value in fields.pop("families").items()}
    runs = tuple(_run(**one) for one in fields.pop("runs"))
    return Published(**fields | {"notes": tuple(fields["notes"])}, runs=runs, families=families)


def _run(scores: Sequence[float], effects: Sequence[float], **fields: Any) -> PublishedRun:
    return PublishedRun(**fields, scores=tuple(scores), effects=tuple(effects))


def _family(settings: Mapping[str, Any], **fields: str) -> PublishedFamily:
    return PublishedFamily(
        **fields,
        settings={
            key: PublishedSetting(
                value["pairs"], {name: tuple(runs) for name, runs in value["values"].items()}
            )
            for key, value in settings.items()
        },
    )
