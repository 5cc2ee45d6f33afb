"""What a study says of a reference, held against the study and against the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fragility.errors import Problem, UsageError, did_you_mean
from fragility.method import JSON
from fragility.references import Published, load_reference, reference_names
from fragility.references.declared import CORRELATIONS, CellFacts, ReferenceSetting
from fragility.study.expansion import Expansion, crossings
from fragility.study.messages import listed, quoted, unknown
from fragility.study.model import Study
from fragility.study.nodes import Node, Path, Place, flow
from fragility.study.problems import problem_at
from fragility.study.sweep import CROSSED

_EIGENVALUES = ("hessian_top_eigenvalue", "hessian_bottom_eigenvalue")


def reference_problems(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields what a study's `reference` names that the study or the reference does not have."""
    if study.reference is None:
        return
    at: Path = ("reference",)
    try:
        published = load_reference(study.reference.name)
    except UsageError:
        text = unknown("reference", study.reference.name, reference_names())
        yield problem_at(_place(root, (*at, "name")), (*at, "name"), text)
        return
    known = _Known(study, expansion)
    for position, setting in enumerate(study.reference.settings):
        path: Path = (*at, "settings", position)
        yield from _Check(root, path, setting, study, known).problems(published)


class _Known:
    """What the cells of the study can be told apart by."""

    def __init__(self, study: Study, expansion: Expansion) -> None:
        self.labels = {section: list(getattr(study, section)) for section in CROSSED}
        self.swept: dict[str, list[JSON]] = {}
        self.overridden: set[str] = set()
        for one in expansion.sweep.values:
            values = self.swept.setdefault(one.path, [])
            if one.value not in values:
                values.append(one.value)
            if one.node.place.override:
                self.overridden.add(one.path)
        self.cells: list[CellFacts] = [
            {**dict(zip(CROSSED, labels, strict=True)), **{s.path: s.value for s in row}}
            for labels, applying in crossings(expansion.sweep, self.labels)
            for row in applying.rows()
        ]

    @property
    def keys(self) -> list[str]:
        return [*CROSSED, *self.swept]


class _Check:
    """One entry under `settings`, and everything it is held against."""

    def __init__(
        self, root: Node, path: Path, setting: ReferenceSetting, study: Study, known: _Known
    ) -> None:
        self.root, self.path, self.setting = root, path, setting
        self.study, self.known = study, known

    def problems(self, published: Published) -> Iterator[Problem]:
        wrong = [*self._family(published), *self._keys(), *self._judges(), *self._eigenvalues()]
        yield from wrong
        if not wrong:
            yield from self._matches(published)

    def _family(self, published: Published) -> Iterator[Problem]:
        if self.setting.family not in published.families:
            yield self._at("family", unknown("family", self.setting.family, [*published.families]))

    def _keys(self) -> Iterator[Problem]:
        for key, wanted in self.setting.where.items():
            if key not in self.known.keys:
                yield self._at("where", self._no_key(key), key, on_key=True)
                continue
            values = self.known.labels.get(key, self.known.swept.get(key, []))
            given = [wanted] if wanted in values or not isinstance(wanted, list) else wanted
            for value in given:
                # A sweep that the command line changed may have lost a value that the file has.
                if value not in values and key not in self.known.overridden:
                    yield self._at("where", _no_value(value, values), key)
        for key in self.setting.placeholders():
            if key not in self.known.keys:
                yield self._at("setting", self._no_key(key))

    def _no_key(self, key: str) -> str:
        near = did_you_mean(key, self.known.keys)
        swept = listed([*self.known.swept]) or "nothing"
        return (
            f"{quoted(key)} tells no cells apart: neither one of {listed(CROSSED)} nor swept."
            f"{near} Swept here: {swept}."
        )

    def _judges(self) -> Iterator[Problem]:
        if not set(self.setting.quantities) & set(CORRELATIONS):
            return
        judges: Mapping[str, Mapping[str, Any]] = {
            "estimator": self.study.estimators,
            "procedure": self.study.procedures,
        }
        for key, labels in judges.items():
            named = getattr(self.setting, key)
            if named is not None and named not in labels:
                here = f" {key.capitalize()}s here: {listed([*labels])}." if labels else ""
                text = f"the study has no {key} {quoted(named)}.{did_you_mean(named, [*labels])}"
                yield self._at(key, text + here)
            elif named is None and len(labels) > 1:
                text = f"this key is missing: the study has several. Known: {listed([*labels])}."
                yield problem_at(_place(self.root, self.path), (*self.path, key), text)

    def _eigenvalues(self) -> Iterator[Problem]:
        if "hessian_top_eigenvalue" not in self.setting.quantities:
            return
        including = [
            diagnostic.kind
            for diagnostic in self.study.diagnostics
            if diagnostic.kind in _EIGENVALUES
            and getattr(diagnostic, "includes_regularization", False)
        ]
        if including:
            text = (
                f"{listed(including)} of this study: with the penalty, which the published"
                " eigenvalue is without. Set `includes_regularization: false` under `diagnostics`,"
                " or leave `hessian_top_eigenvalue` out of `quantities`."
            )
            yield self._at("quantities", text)

    def _matches(self, published: Published) -> Iterator[Problem]:
        found = {self.setting.named(facts) for facts in self.known.cells} - {None}
        settings = published.families[self.setting.family].settings
        if not found:
            if not self.known.overridden:
                yield self._at("where", "no cell of the study has all of this.")
        elif settings and found.isdisjoint(settings) and not self.known.overridden:
            names = sorted(str(name) for name in found)
            what = f"{quoted(self.setting.family)} has no setting {listed(names)}"
            near = did_you_mean(names[0], [*settings])
            yield self._at("setting", f"{what}.{near} Known: {listed([*settings])}.")

    def _at(self, key: str, text: str, inner: str = "", *, on_key: bool = False) -> Problem:
        path = (*self.path, key, inner) if inner else (*self.path, key)
        parent = self.root.get(path[:-1])
        entry = parent.entries.get(str(path[-1])) if parent else None
        place = entry.key if entry and on_key else entry.node.place if entry else None
        return problem_at(place or _place(self.root, self.path), path, text)


def _place(root: Node, path: Path) -> Place:
    node = root.get(path)
    return node.place if node else Place()


def _no_value(value: JSON, values: Sequence[JSON]) -> str:
    words = [flow(one) for one in values]
    near = did_you_mean(flow(value), words)
    return f"{quoted(flow(value))} is not a value here.{near} Known: {listed(words)}."
