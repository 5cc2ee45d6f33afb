"""A run held against the published numbers that its study names, setting by setting."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from fragility.errors import UsageError
from fragility.identity import derive_seed
from fragility.references import Published, PublishedSetting, load_reference
from fragility.references.comparison import Held, Sides, compared
from fragility.references.declared import (
    CORRELATIONS,
    SECTIONS,
    Quantity,
    ReferenceSetting,
    StudyReference,
)
from fragility.references.families import taken_together, usable
from fragility.report.declared import declared
from fragility.report.source import Row, Source
from fragility.store import published_queries as ask
from fragility.store import report_queries

_COLUMNS = ("dataset", "model", "regularization", "training")
_ENDS_IN_NUMBER = re.compile(r"(.*?)_?(\d+)")


@dataclass(frozen=True)
class Setting:
    """A published setting and the arm that is held against it.

    `axis` and `level` are its place in a figure, `depth` and `3` of `depth_3`. `judge` is the
    estimator and the procedure, None for what does not depend on them.
    """

    family: str
    title: str
    name: str
    axis: str
    level: str
    arm: str
    judge: tuple[str, str] | None


@dataclass(frozen=True)
class Against:
    """All comparisons of a run, in the order of the study, and what to know of the run.

    `families` are those with several settings, each taken together under one estimator and
    procedure; their `name` counts the settings, their `arm` and `level` are empty.
    `top_only` says that no smallest eigenvalues were recorded beside the largest.
    """

    reference: Published
    lines: tuple[tuple[Setting, Held], ...]
    families: tuple[tuple[Setting, Held], ...]
    overrides: tuple[str, ...]
    top_only: bool


def named_reference(run: Row) -> StudyReference | None:
    """Returns the study's `reference` as run, None where it names none that is known here."""
    try:
        found = StudyReference.model_validate_json(json.dumps(declared(run, "reference")))
        load_reference(found.name)
    except (ValidationError, UsageError, TypeError):
        return None
    return found


def against(source: Source) -> Against | None:
    """Returns the comparisons of a run, None where its study names no reference."""
    named = named_reference(source.run)
    if named is None:
        return None
    reference = load_reference(named.name)
    rows = list(_asked(source, named, reference))
    held = compared(
        [sides for _, sides in rows], derive_seed(source.run["seed"] or 0, "published numbers")
    )
    eigenvalues = source.ask(ask.EIGENVALUES)
    overrides = json.loads(source.run["overrides"] or "[]")
    lines = tuple((setting, one) for (setting, _), one in zip(rows, held, strict=True))
    return Against(
        reference,
        lines,
        tuple(_families(lines, derive_seed(source.run["seed"] or 0, "published families"))),
        tuple(text for text in overrides if not text.startswith(("reference", "repeats="))),
        bool(eigenvalues) and all(row["bottom"] is None for row in eigenvalues),
    )


def _families(lines: Sequence[tuple[Setting, Held]], seed: int) -> Iterator[tuple[Setting, Held]]:
    groups: dict[tuple[object, ...], list[tuple[Setting, Held]]] = defaultdict(list)
    for setting, held in lines:
        groups[setting.family, setting.axis, setting.judge, held.quantity, held.absolute].append(
            (setting, held)
        )
    found = taken_together(
        {key: [held for _, held in group] for key, group in groups.items()}, seed
    )
    for key, held in found.items():
        setting = groups[key][0][0]
        levels = {one.level: usable(other) for one, other in groups[key]}
        together = f"{sum(levels.values())} of " if not all(levels.values()) else ""
        name = f"{together}{len(levels)} {setting.axis}s"
        yield replace(setting, name=name, level="", arm=""), held


def _asked(
    source: Source, named: StudyReference, reference: Published
) -> Iterator[tuple[Setting, Sides]]:
    """Yields every comparison once: what no estimator enters may stand under several of them."""
    ours = _Ours(source)
    seen: set[object] = set()
    for entry in named.settings:
        family = reference.families.get(entry.family)
        for arm, name in ours.arms(entry):
            published = family.settings.get(name) if family else None
            axis, level = _place(entry, name)
            for quantity in entry.quantities:
                judge = ours.judge(entry) if quantity in CORRELATIONS else None
                setting = Setting(
                    entry.family, family.title if family else "", name, axis, level, arm, judge
                )
                sides = _sides(quantity, entry.absolute, ours, setting, published)
                key = (setting, quantity, entry.absolute or judge is None)
                if key not in seen and (sides.ours or sides.published):
                    seen.add(key)
                    yield setting, sides


def _sides(
    quantity: Quantity,
    absolute: bool,
    ours: _Ours,
    setting: Setting,
    published: PublishedSetting | None,
) -> Sides:
    rows = ours.rows(quantity, setting)
    column = "size" if absolute and quantity in CORRELATIONS else "value"
    return Sides(
        quantity,
        absolute and quantity in CORRELATIONS,
        [row[column] for row in rows],
        published.values.get(quantity, ()) if published else (),
        min((row["pairs"] for row in rows if row.get("pairs")), default=None),
        published.pairs if published else None,
    )


class _Ours:
    """What the run measured, by arm."""

    def __init__(self, source: Source) -> None:
        self._facts: dict[str, Mapping[str, object]] = {}
        for cell in source.ask(report_queries.CELLS):
            labels = {key: cell[column] for key, column in zip(SECTIONS, _COLUMNS, strict=True)}
            self._facts[cell["arm"]] = {**labels, **json.loads(cell["factors"] or "{}")}
        self._values: dict[object, list[Row]] = defaultdict(list)
        for row in source.ask(ask.CORRELATIONS):
            judge = (row["estimator"], row["procedure"])
            self._values[row["metric"], row["arm"], judge].append(row)
        for quantity, query in (
            ("hessian_top_eigenvalue", ask.EIGENVALUES),
            ("train_accuracy", ask.ACCURACIES),
        ):
            for row in source.ask(query):
                self._values[quantity, row["arm"], None].append(row)
        targets = source.ask(report_queries.TARGETS)
        self._estimators = sorted({row["estimator"] for row in targets})
        self._procedures = sorted({row["procedure"] for row in targets})

    def arms(self, entry: ReferenceSetting) -> Iterator[tuple[str, str]]:
        """Yields every arm that is meant, in the order of the plan, with the published setting."""
        for arm, facts in self._facts.items():
            name = entry.named(facts)  # type: ignore[arg-type]
            if name is not None:
                yield arm, name

    def judge(self, entry: ReferenceSetting) -> tuple[str, str]:
        """Returns the estimator and the procedure; of one that is left out, the only one."""
        return (
            entry.estimator or _only(self._estimators),
            entry.procedure or _only(self._procedures),
        )

    def rows(self, quantity: Quantity, setting: Setting) -> Sequence[Row]:
        """Returns one row a repeat."""
        return self._values.get((quantity, setting.arm, setting.judge), ())


def _only(labels: Sequence[str]) -> str:
    return labels[0] if labels else ""


def _place(entry: ReferenceSetting, name: str) -> tuple[str, str]:
    """Returns the axis a setting stands on, and its place there."""
    found = _ENDS_IN_NUMBER.fullmatch(name)
    if found is None:
        return "setting", name
    swept = [key.rpartition(".")[2] for key in entry.placeholders()]
    return found[1] or (swept[-1] if swept else "setting"), found[2]
