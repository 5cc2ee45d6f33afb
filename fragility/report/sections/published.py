"""Against the published numbers: the paper's figures from our rows, and a verdict a setting.

Figures 1 and 3 of Epifano et al. 2023 with the published values beside; only where a study names a
reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fragility.references.comparison import Held
from fragility.references.declared import CORRELATIONS, Quantity
from fragility.report.context import Context, natural
from fragility.report.figures.published import (
    PUBLISHED,
    Frame,
    Series,
    frame_of,
    means,
    strips,
)
from fragility.report.palette import MARKERS, SERIES
from fragility.report.parts import Chart, DataTable, Key, Panel, Section, data_table
from fragility.report.published import Against, Setting, against
from fragility.report.published_notes import RULES, TOGETHER, lead, notes
from fragility.report.published_words import counts, quantity_name, words
from fragility.report.statistics import geometric_mean, mean_interval
from fragility.report.text import listing, number
from fragility.store import published_queries as ask

SHAPES = ("dot", "square", "triangle", "diamond", "down", "plus")
MOST_STRIPS, MOST_FAMILIES, SPOKEN = 12, 6, 3

Judge = tuple[str, str] | None
Line = tuple[Setting, Held]


@dataclass(frozen=True)
class Group:
    """The comparisons of one quantity along one axis: a figure of the paper."""

    axis: str
    quantity: Quantity
    absolute: bool
    lines: Sequence[Line]

    @property
    def name(self) -> str:
        """The quantity in words."""
        return quantity_name(self.quantity, absolute=self.absolute)

    @property
    def logarithmic(self) -> bool:
        """Whether the figure has a logarithmic axis."""
        return self.quantity == "hessian_top_eigenvalue"

    @property
    def levels(self) -> list[str]:
        """The places on the axis in natural order."""
        return sorted({setting.level for setting, _ in self.lines}, key=natural)

    @property
    def families(self) -> list[str]:
        """The published families in the order of the study."""
        return list(dict.fromkeys(setting.family for setting, _ in self.lines))

    @property
    def judges(self) -> list[Judge]:
        """Estimators and procedures in the order of the study."""
        return list(dict.fromkeys(setting.judge for setting, _ in self.lines))

    @property
    def chance(self) -> float | None:
        """The size of a correlation of unrelated lists; none where signs are kept."""
        found = [side.chance for _, one in self.lines for side in (one.ours, one.published) if side]
        known = [chance for chance in found if chance is not None]
        return float(np.median(known)) if known and self.absolute else None


def section(context: Context) -> Section:
    """Returns figures, and the table of verdicts; without heading where no reference is named."""
    found = against(context.source)
    if found is None or not found.lines:
        return Section("published", "", {"found": None})
    groups = _groups(found)
    data = {
        "found": found.reference,
        "lead": lead(found),
        "charts": [
            chart
            for index, group in enumerate(groups)
            for chart in _charts(context, found, group, index)
        ],
        "families": [words(setting, held) for setting, held in found.families],
        "together": TOGETHER,
        "rows": [words(setting, held) for setting, held in found.lines],
        "verdicts": RULES,
        "notes": notes(found),
    }
    return Section("published", "Against the published numbers", data)


def _groups(found: Against) -> list[Group]:
    lines: dict[tuple[str, Quantity, bool], list[Line]] = defaultdict(list)
    for setting, held in found.lines:
        lines[setting.axis, held.quantity, held.absolute].append((setting, held))
    return [Group(*key, members) for key, members in lines.items()]


def _charts(context: Context, found: Against, group: Group, index: int) -> list[Chart]:
    if group.quantity == "train_accuracy":
        # Nearly every model fits its training set: the table says all there is to see.
        return []
    tables = _tables(context, group)
    runs = _strips(context, group, index, tables)
    if len(group.levels) == 1:
        return [runs]
    averages = _means(context, found, group, index, tables)
    return [_joined(averages, runs)] if len(group.families) == 1 else [averages, runs]


def _joined(averages: Chart, runs: Chart) -> Chart:
    """Returns both charts of a single family as one."""
    keys = {key.label: key for key in (*runs.keys, *averages.keys)}
    return replace(
        averages,
        panels=[*averages.panels, *runs.panels],
        reading=f"{averages.reading} {runs.reading}",
        keys=list(keys.values()),
        notes=[*averages.notes, *runs.notes],
    )


def _means(
    context: Context, found: Against, group: Group, index: int, tables: Sequence[DataTable]
) -> Chart:
    several = len(group.families) > 1
    sides = _by_side(found, group) if several else _of_one_family(context, group)
    everything = [one for _, side in sides for one in side]
    frame = _frame(group, everything)
    panels = [
        Panel(
            means(
                [one for one in side if one.values],
                frame,
                name=f"published-means-{index}-{place}",
                title=f"{group.name} against {group.axis}, {title}",
            ),
            title,
        )
        for place, (title, side) in enumerate(sides)
        if any(one.values for one in side)
    ]
    drawn = [one for one in everything if one.values]
    keys = dict.fromkeys(
        Key(one.label, one.token, SHAPES[MARKERS.index(one.marker)]) for one in drawn
    )
    figure = _figure(found, group)
    note = "The mean over runs with its 95 % interval, as the paper draws it."
    if group.logarithmic:
        note = "The geometric mean over runs with its 95 % interval; the paper draws the mean."
    return Chart(
        f"published-means-{index}",
        f"{group.name} against {group.axis}{figure}",
        panels,
        _reading_of_means(found, group),
        tables,
        [*keys, *_chance_key(group)],
        [note],
    )


def _by_side(found: Against, group: Group) -> list[tuple[str, list[Series]]]:
    """Returns what is published and what is ours in panels of their own, a line a family."""
    families = list(enumerate(group.families[:MOST_FAMILIES]))

    def side(judge: Judge, *, ours: bool) -> list[Series]:
        return [
            Series(
                found.reference.families[family].title,
                SERIES[place % len(SERIES)],
                MARKERS[place % len(MARKERS)],
                _runs(_chosen(group, family, judge, ours=ours), ours=ours),
            )
            for place, family in families
        ]

    sides = [("published", side(None, ours=False))]
    for judge in group.judges:
        title = " · ".join(("ours", *(judge if judge and len(group.judges) > 1 else ())))
        sides.append((title, side(judge, ours=True)))
    return sides


def _of_one_family(context: Context, group: Group) -> list[tuple[str, list[Series]]]:
    """Returns what is published and what is ours as lines of one panel."""
    (family,) = group.families
    published = _runs(_chosen(group, family, None, ours=False), ours=False)
    series = [Series("published", PUBLISHED, "s", published)]
    for place, judge in enumerate(group.judges):
        runs = _runs(_chosen(group, family, judge, ours=True), ours=True)
        marker = MARKERS[(2 * place) % len(MARKERS)]
        series.append(Series(_ours(group, judge), _token(context, judge), marker, runs))
    return [("means of runs", series)]


def _strips(context: Context, group: Group, index: int, tables: Sequence[DataTable]) -> Chart:
    drawn: dict[tuple[str, Judge], list[Line]] = defaultdict(list)
    for setting, held in group.lines:
        drawn[setting.family, setting.judge].append((setting, held))
    panels = []
    keys: dict[str, Key] = {"published": Key("published", PUBLISHED, "square")}
    for place, ((_, judge), lines) in enumerate(list(drawn.items())[:MOST_STRIPS]):
        token = _token(context, judge)
        series = [
            Series("published", PUBLISHED, "s", _runs(lines, ours=False)),
            Series("ours", token, "o", _runs(lines, ours=True)),
        ]
        label = _ours(group, judge)
        keys.setdefault(label, Key(label, token, "square"))
        single = len(group.families) == 1 and len(group.levels) > 1
        title = "every run" if single else lines[0][0].title
        if judge and len(group.judges) > 1:
            title = f"{title} · {' · '.join(judge)}"
        panels.append(
            Panel(
                strips(
                    series,
                    _frame(group, series),
                    name=f"published-strips-{index}-{place}",
                    title=f"{group.name}, ours beside published: {title}",
                ),
                title,
            )
        )
    cut = [] if len(drawn) <= MOST_STRIPS else [f"{MOST_STRIPS} of {len(drawn)} are drawn."]
    return Chart(
        f"published-runs-{index}",
        f"{group.name}, ours beside published",
        panels,
        _reading_of_verdicts(group),
        tables,
        [*keys.values(), *_chance_key(group)],
        ["Every point is a run; the box holds the middle half, its line is the median.", *cut],
    )


def _ours(group: Group, judge: Judge) -> str:
    return f"ours: {' · '.join(judge)}" if judge and len(group.judges) > 1 else "ours"


def _token(context: Context, judge: Judge) -> str:
    return context.colours.get(judge[0], "ink") if judge else "ink"


def _chosen(group: Group, family: str, judge: Judge, *, ours: bool) -> list[Line]:
    """Returns the comparisons of a family, of ours those of one estimator and procedure."""
    return [
        (setting, held)
        for setting, held in group.lines
        if setting.family == family and (not ours or setting.judge == judge)
    ]


def _runs(lines: Sequence[Line], *, ours: bool) -> Mapping[str, Sequence[float]]:
    sides = [(setting.level, held.ours if ours else held.published) for setting, held in lines]
    return {level: side.values for level, side in sides if side is not None and side.values}


def _frame(group: Group, series: Sequence[Series]) -> Frame:
    metric = group.quantity if group.quantity in CORRELATIONS else ""
    return frame_of(
        series,
        group.levels,
        group.axis,
        group.name,
        f"|{metric}|" if group.absolute and metric else metric,
        logarithmic=group.logarithmic,
        chance=group.chance,
    )


def _chance_key(group: Group) -> list[Key]:
    if group.chance is None:
        return []
    return [Key(f"unrelated lists give {number(group.chance)} on average", "soft", "dash")]


def _figure(found: Against, group: Group) -> str:
    """Returns which figure of the paper this is, where the quantity and the axis say so."""
    if found.reference.name != "epifano-2023" or group.axis not in ("depth", "width"):
        return ""
    figures = {
        "spearman": " (the paper's figure 1)",
        "hessian_top_eigenvalue": " (the paper's figure 3)",
    }
    drawn = any(found.reference.families[f].figure != "none" for f in group.families)
    return figures.get(group.quantity, "") if drawn and group.absolute != group.logarithmic else ""


def _reading_of_means(found: Against, group: Group) -> str:
    first, last = group.levels[0], group.levels[-1]
    told = []
    for family in group.families[:SPOKEN]:
        sides = [
            _ends(group, _runs(_chosen(group, family, judge, ours=ours), ours=ours), first, last)
            for judge, ours in ((None, False), (group.judges[0], True))
        ]
        named = [
            f"{who} {side}" for who, side in zip(("published", "ours"), sides, strict=True) if side
        ]
        if named:
            told.append(f"{found.reference.families[family].title}: {listing(named)}")
    if not told:
        return f"Nothing was measured at both ends of {group.axis}."
    return f"From {group.axis} {first} to {last}: {'; '.join(told)}."


def _ends(group: Group, runs: Mapping[str, Sequence[float]], first: str, last: str) -> str:
    ends = [runs.get(level) for level in (first, last)]
    if not all(ends):
        return ""
    centre = geometric_mean if group.logarithmic else mean_interval
    found = [centre(np.asarray(end, dtype=np.float64)).value for end in ends]
    return f"{number(found[0])} to {number(found[1])}"


def _reading_of_verdicts(group: Group) -> str:
    sentence = counts(group.lines)
    apart = [
        (abs(held.difference.value), setting, held)
        for setting, held in group.lines
        if held.difference is not None and held.difference.value is not None
    ]
    if not apart:
        return f"{sentence}."
    _, setting, held = max(apart, key=lambda one: one[0])
    return (
        f"{sentence}; medians are furthest apart at {setting.name} of {setting.title}:"
        f" {words(setting, held).difference}."
    )


def _tables(context: Context, group: Group) -> list[DataTable]:
    query = ask.EIGENVALUES if group.logarithmic else ask.CORRELATIONS
    return [data_table(context.source.fetch(query))]
