"""A published family in three readings: as published, as published by us, and corrected."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from fragility.identity import derive_seed
from fragility.references import Published, PublishedFamily
from fragility.references.comparison import Held
from fragility.report.context import natural
from fragility.report.published import Against, Setting, against
from fragility.report.source import Row, Source
from fragility.statistics.estimate import Array, Estimate
from fragility.statistics.two_samples import LEVEL, median_difference
from fragility.store import published_queries, recorded, report_queries

Side = Literal["published", "ours", "corrected"]
SIDES: tuple[Side, ...] = ("published", "ours", "corrected")

CORRECTED = "corrected"
"""In these studies the label of what corrects an estimator or procedure `published`."""

INTERVAL = 1 - 2 * LEVEL
"""Confidence of every interval on the page: that of the comparisons with published numbers."""

AXES = ("depth", "width")
"""What the sizes of models are."""

PAGE = "reproduction"


@dataclass(frozen=True)
class Study:
    """A recorded run and all its comparisons with published numbers, None where it has none."""

    run: Row
    against: Against | None
    cells: Sequence[Row]
    correlations: Sequence[Row]
    numbers: Sequence[Row]
    targets: Sequence[Row]
    points: Sequence[Row] = ()
    """Agreements by test point."""

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.run["study"])

    @property
    def arms(self) -> int:
        """How many settings were run."""
        return len({cell["arm"] for cell in self.cells})

    @property
    def repeats(self) -> int:
        """In how many repeats."""
        return len({cell["repeat"] for cell in self.cells})


@dataclass(frozen=True)
class Family:
    """A published family and the study that reproduces it.

    `published` may have no settings, and `study` is None where nothing of the family was run;
    there are then no lines. `settings` are in the order of levels.
    """

    key: str
    published: PublishedFamily
    study: Study | None
    settings: tuple[Setting, ...]
    lines: tuple[tuple[Setting, Held], ...]
    whole: tuple[tuple[Setting, Held], ...] = ()
    """The settings taken together, a comparison a quantity."""
    shared: bool = False
    """Whether several studies reproduce settings of this family."""

    @property
    def anchor(self) -> str:
        """The family's name on the page: without the folder of Iris, and that of all results.

        Of a family that several studies share, the study's name stands behind it.
        """
        name = self.key.removeprefix("IRIS/").replace("/results/", "/")
        return f"{name}, {self.study.name}" if self.shared and self.study else name

    @property
    def title(self) -> str:
        """The section's heading; of a family that several studies share, with the study's name."""
        shown = self.published.title
        return f"{shown}: {self.study.name}" if self.shared and self.study else shown

    @property
    def place(self) -> str:
        """What links to the family's section point at."""
        return re.sub(r"[^a-z0-9_-]+", "-", self.anchor.lower())

    @property
    def link(self) -> str:
        """The family's name, leading to its section where it was run, else to how it is printed."""
        return f"[`{self.anchor}`](#{self.place if self.study else 'published-rows'})"

    @property
    def overrides(self) -> Sequence[str]:
        """What the run changed of its study, the number of repeats apart."""
        return self.study.against.overrides if self.study and self.study.against else ()

    def resized(self, side: Side) -> bool:
        """Returns whether a reading is of another size than published."""
        return side != "published" and bool(self.overrides)

    @property
    def axis(self) -> str:
        """What differs between settings: depth or width, or just the setting."""
        return self.settings[0].axis

    def held(self, name: str, quantity: str) -> Held | None:
        """Returns the comparison of a quantity of a setting, None where there is none."""
        return next(
            (
                one
                for setting, one in self.lines
                if setting.name == name and one.quantity == quantity
            ),
            None,
        )

    def values(self, side: Side, quantity: str) -> Mapping[str, Array]:
        """Returns the finite values of the runs of each level, signed, in the order of levels."""
        found = {}
        for setting in self.settings:
            values = self._values(side, quantity, setting)
            known = np.array([v for v in values if v is not None], dtype=np.float64)
            known = known[np.isfinite(known)]
            if known.size:
                found[setting.level] = known
        return found

    def of_setting(self, name: str, side: Side, quantity: str) -> Array:
        """Returns the finite values of the runs of a published setting, signed."""
        found = [one.level for one in self.settings if one.name == name]
        values = self.values(side, quantity)
        return values.get(found[0], np.zeros(0)) if found else np.zeros(0)

    def pairs(self, side: Side) -> tuple[Array, Array]:
        """Returns Spearman's and Pearson's correlation of all runs in which both are finite."""
        both: list[tuple[float, float]] = []
        for setting in self.settings:
            columns = [self._values(side, name, setting) for name in ("spearman", "pearson")]
            both += [
                (s, p) for s, p in zip(*columns, strict=False) if s is not None and p is not None
            ]
        array = np.array(both, dtype=np.float64).reshape(-1, 2)
        array = array[np.isfinite(array).all(axis=1)]
        return array[:, 0], array[:, 1]

    def _values(self, side: Side, quantity: str, setting: Setting) -> Sequence[float | None]:
        if side == "published":
            here = self.published.settings.get(setting.name)
            return here.values.get(quantity, ()) if here else ()
        if quantity not in ("spearman", "pearson"):
            return [row["value"] for row in self._numbers.get((setting.arm, quantity), ())]
        judge = setting.judge or ("", "")
        if side == "corrected":
            judge = (self._corrected("estimator", judge[0]), self._corrected("procedure", judge[1]))
        return [row["value"] for row in self._correlations.get((setting.arm, *judge, quantity), ())]

    def _corrected(self, kind: str, label: str) -> str:
        named = label.replace("published", CORRECTED)
        known = {row[kind] for row in self.study.targets} if self.study else set()
        return named if named in known else CORRECTED

    @cached_property
    def _correlations(self) -> Mapping[tuple[str, ...], Sequence[Row]]:
        found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in self.study.correlations if self.study else ():
            found[row["arm"], row["estimator"], row["procedure"], row["metric"]].append(row)
        return found

    @cached_property
    def _numbers(self) -> Mapping[tuple[str, str], Sequence[Row]]:
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.study.numbers if self.study else ():
            found[row["arm"], row["quantity"]].append(row)
        return found


def load(folder: Path) -> list[Study]:
    """Returns every recorded study, by name."""
    found = []
    for name, run_id in recorded.studies(folder):
        with recorded.connect(folder, name) as connection:
            source = Source(connection, run_id)
            found.append(
                Study(
                    source.run,
                    against(source),
                    source.ask(report_queries.CELLS),
                    source.ask(published_queries.CORRELATIONS),
                    _numbers(source),
                    source.ask(report_queries.TARGETS),
                    source.ask(published_queries.POINTS),
                )
            )
    return found


def families(studies: Sequence[Study], reference: Published) -> list[Family]:
    """Returns every family with settings by size, in the order of the reference, one a study.

    The others, which were not run, have published values alone.
    """
    run: dict[str, list[Family]] = defaultdict(list)
    for study in studies:
        by_key: dict[str, list[tuple[Setting, Held]]] = defaultdict(list)
        if study.against is None:
            continue
        for setting, held in study.against.lines:
            by_key[setting.family].append((setting, held))
        for key, lines in by_key.items():
            # Those of correlations come last: they know the estimator and the procedure.
            ordered = sorted(lines, key=lambda line: line[0].judge is not None)
            settings = {setting.name: setting for setting, _ in ordered}
            whole = [line for line in study.against.families if line[0].family == key]
            run[key].append(
                Family(
                    key, reference.families[key], study, _ordered(settings.values()), tuple(lines),
                    tuple(whole),
                )
            )  # fmt: skip
    found: list[Family] = []
    for key, one in reference.families.items():
        here = [replace(family, shared=len(run[key]) > 1) for family in run[key]]
        found += here or [_published_only(key, one)]
    return [family for family in found if family.settings]


def _published_only(key: str, family: PublishedFamily) -> Family:
    settings = []
    for name, found in family.settings.items():
        axis, _, level = name.rpartition("_")
        axis = axis or "width"
        # One run a setting says nothing of others.
        if axis in AXES and level.isdecimal() and len(found.values.get("spearman", ())) > 1:
            settings.append(Setting(key, family.title, name, axis, level, "", None))
    return Family(key, family, None, _ordered(settings), ())


def _ordered(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    return tuple(sorted(settings, key=lambda one: natural(one.level)))


def median(values: Array, *names: str) -> Estimate:
    """Returns the median of independent values with its percentile bootstrap interval.

    There is none below five values. `names` seed the draws.
    """
    zeros = np.zeros_like(values)
    found = median_difference(values, zeros, seed=seed(*names), confidence=INTERVAL)
    return replace(found, value=float(np.median(values)))


def seed(*names: str) -> int:
    """Returns the seed of a drawn interval of this page."""
    return derive_seed(0, " ".join((PAGE, *names)))


def _numbers(source: Source) -> list[Row]:
    """Returns eigenvalues and accuracies of base models, a row each."""
    rows: list[Row] = []
    for quantity, query in (
        ("hessian_top_eigenvalue", published_queries.EIGENVALUES),
        ("train_accuracy", published_queries.ACCURACIES),
    ):
        rows += [{**row, "quantity": quantity} for row in source.ask(query)]
    return rows
