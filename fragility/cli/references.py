"""Published references, as `fragility list` and `fragility describe` print them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fragility.cli.text import plural, table
from fragility.references import (
    Published,
    PublishedSetting,
    load_reference,
    reference_names,
)

ROOMS = ("references", "reference")
"""What `list` and `describe` may be asked for; `describe reference NAME` reads well."""


def summaries() -> list[tuple[str, str]]:
    """Returns the name of every reference with one sentence on it."""
    found = [(name, load_reference(name)) for name in reference_names()]
    return [(name, f"{one.title}: {_size(one)}.") for name, one in found]


def blocks(name: str) -> Iterator[str]:
    """Yields the paragraphs that describe a reference; those that begin with spaces are tables.

    Raises:
        UsageError: there is none of that name.
    """
    one = load_reference(name)
    yield f"{one.name} (references)"
    yield f"{one.title}. {one.citation}"
    yield f"Source: {one.repository}, commit {one.commit}."
    yield f"Licence: {one.licence}"
    yield from one.notes
    yield "Quantities:\n" + table(["name", "what it is"], one.quantities.items(), indent="  ")
    rows = [
        (key, _settings(list(family.settings)), _runs(family.settings.values()), family.title)
        for key, family in one.families.items()
    ]
    yield "Families:\n" + table(["family", "settings", "runs", "what it is"], rows, indent="  ")
    for key, family in one.families.items():
        note = f" {family.note}" if family.note else ""
        yield f"{key}: {family.script}; {_drawn(family.figure)}.{note}"


def _size(one: Published) -> str:
    here = [family for family in one.families.values() if family.settings]
    settings = sum(len(family.settings) for family in here)
    return f"{plural(settings, 'setting')} of {len(here)} families of experiments, every run"


def _settings(names: list[str]) -> str:
    if len(names) < 3:
        return ", ".join(names) or "not here"
    return f"{names[0]} .. {names[-1]}"


def _runs(settings: Collection[PublishedSetting]) -> str:
    counts = [max(len(runs) for runs in one.values.values()) for one in settings]
    ends = dict.fromkeys((min(counts, default=0), max(counts, default=0)))
    return " to ".join(str(end) for end in ends) if counts else "-"


def _drawn(figure: str) -> str:
    return "in no figure" if figure == "none" else figure
