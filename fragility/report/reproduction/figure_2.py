"""The paper's figure 2: Spearman's correlation of networks for images, published and ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fragility.references import Published
from fragility.report.figures.published import Series, frame_of, means
from fragility.report.palette import MARKERS, SERIES
from fragility.report.reproduction.families import SIDES, Family, Side, Study
from fragility.report.reproduction.figures import MARKS, Drawn, Panel, alone, rows_of_all
from fragility.report.reproduction.figures import SIDES as NAMES
from fragility.statistics.estimate import Array
from fragility.statistics.null_band import null_mean_absolute

PAIRS = 40
"""Of so many points, the first, the figure takes its correlations."""

_FIRST = f"_first{PAIRS}"


@dataclass(frozen=True)
class Place:
    """A place of the figure: its label, and the published setting."""

    label: str
    family: str
    setting: str


MNIST, CIFAR = "MNIST/results", "CIFAR10/results"
PANELS = {
    "MNIST": (
        Place("FC 8", f"{MNIST}/small_fullycon", "8"),
        Place("FC 32", f"{MNIST}/small_fullycon", "32"),
        Place("FC 128", f"{MNIST}/small_fullycon", "128"),
        Place("LeNet", f"{MNIST}/lenet", "max"),
        Place("VGG-13", f"{MNIST}/vgg", "max_vgg"),
        Place("BNN", f"{MNIST}/lenet", "max_vdp"),
    ),
    "CIFAR-10": (
        Place("LeNet", f"{CIFAR}/lenet", "max_lenet"),
        Place("VGG-13", f"{CIFAR}/vgg", "max_vgg"),
        Place("BNN", f"{CIFAR}/lenet", "max_vdp"),
    ),
}
WIDTHS = {"MNIST": 470, "CIFAR-10": 340}


def figure_2(families: Sequence[Family], reference: Published, folder: str) -> Drawn:
    """Returns both panels: means over runs with 95 % intervals, test point of highest loss."""
    drawn = {
        data: [_series(places, families, reference, side, i) for i, side in enumerate(SIDES)]
        for data, places in PANELS.items()
    }
    panels: list[Panel] = []
    keys: dict[str, None] = {}
    everything = [one for series in drawn.values() for one in series if one.values]
    for data, series in drawn.items():
        series = [one for one in series if one.values]
        keys |= {f"{MARKS[one.marker]}: {one.label}": None for one in series}
        frame = frame_of(
            everything, [place.label for place in PANELS[data]], data, "|Spearman|", "|spearman|",
            logarithmic=False, chance=null_mean_absolute(PAIRS),
        )  # fmt: skip
        title = f"Spearman, {data}"
        file = f"figure-2-{data.lower()}.svg"
        drawing = means(
            series, replace(frame, joined=False), name=file.removesuffix(".svg"),
            title=f"{title}. {'; '.join(keys)}", width=WIDTHS[data],
        )  # fmt: skip
        panels.append(Panel(file, title, alone(drawing)))
    made = _studies(families)
    return Drawn(
        "figure-2",
        "Figure 2, Spearman of networks for images",
        tuple(keys),
        tuple(panels),
        _note(made),
        rows_of_all(made, folder, "spearman"),
        made,
    )


def _series(
    places: Sequence[Place],
    families: Sequence[Family],
    reference: Published,
    side: Side,
    index: int,
) -> Series:
    by_label = {place.label: values(place, families, reference, side) for place in places}
    sized = side != "corrected"
    label = NAMES[side] if sized else f"{NAMES[side]}, with its sign"
    return Series(
        label, SERIES[index], MARKERS[index],
        {k: (np.abs(v) if sized else v).tolist() for k, v in by_label.items() if v.size},
    )  # fmt: skip


def values(place: Place, families: Sequence[Family], reference: Published, side: Side) -> Array:
    """Returns the values of all runs at a place, signed; none where there are none."""
    if side == "published":
        settings = reference.families[place.family].settings
        found = settings.get(place.setting + _FIRST) or settings.get(place.setting)
        known = found.values["spearman"] if found else ()
        return np.array([v for v in known if v is not None], dtype=np.float64)
    for family in families:
        if family.key == place.family and family.study is not None:
            ours = family.of_setting(place.setting, side, "spearman")
            if ours.size:
                return ours
    return np.zeros(0)


def _studies(families: Sequence[Family]) -> tuple[Study, ...]:
    keys = {place.family for places in PANELS.values() for place in places}
    found = {f.study.name: f.study for f in families if f.study and f.key in keys}
    return tuple(found.values())


def _note(studies: Sequence[Study]) -> str:
    said = (
        f"Published: over the first {PAIRS} points of a run, as there; the dashed line is what"
        f" unrelated lists of {PAIRS} give. FC N is the network with N hidden units."
    )
    if not studies:
        return f"{said} Of ours nothing was run."
    return f"{said} Ours: over all removed points, of runs whose sizes stand at their sections."
