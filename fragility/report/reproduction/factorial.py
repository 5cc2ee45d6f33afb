"""Studies that sweep faults: the specification curve, and the mended score on each truth."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from fragility.report.declared import declared
from fragility.report.figures import specification
from fragility.report.figures.published import Series, frame_of, means
from fragility.report.figures.specification import Item, Line
from fragility.report.palette import MARKERS, SERIES
from fragility.report.reproduction import beside
from fragility.report.reproduction.families import Study
from fragility.report.reproduction.figures import MARKS, Drawn, Panel, alone, rows_of_all
from fragility.report.text import estimate
from fragility.statistics.null_band import null_half_width

MOST = 22
TOKEN = "s1"


def factorial(study: Study, folder: str) -> list[Drawn]:
    """Returns the curve and the truths of a study that sweeps two choices or more, else nothing."""
    if len(beside.choices(study)) < 2:
        return []
    return [_curve(study, folder), _truths(study, folder)]


def _curve(study: Study, folder: str) -> Drawn:
    choices = beside.choices(study)
    facts = _facts(study)
    lines: list[Line] = []
    rows: dict[tuple[int, str], int] = {}
    of_arms = list(enumerate(list(choice) for choice in choices))
    for place, levels in [*of_arms, (-1, _procedures(study)), (-2, ["Spearman", "Pearson"])]:
        heading = {-1: "truth", -2: "metric"}.get(place) or _heading(choices[place])
        lines.append(Line(_cut(heading), heading=True))
        for level in levels:
            rows[place, level] = len(lines)
            lines.append(Line(_cut(_values(level))))
    pairs = min((row["pairs"] for row in study.correlations if row["pairs"]), default=0)
    items = []
    for one in beside.agreements(study):
        here = [beside.level(facts[one.arm], choice) for choice in choices]
        if None in here:
            continue
        chosen = [rows[place, str(level)] for place, level in enumerate(here)]
        for metric, found in (("Spearman", one.spearman), ("Pearson", one.pearson)):
            words = estimate("spearman", found.value, found.low, found.high)
            items.append(
                Item(
                    found.value or 0.0,
                    (*chosen, rows[-1, one.pair[1]], rows[-2, metric]),
                    f"{metric} {words}; {one.arm}; {' · '.join(one.pair)}",
                    low=found.low, high=found.high,
                    chance=null_half_width(pairs, kind="spearman") or 1.0,
                    apart=bool(one.mismatch),
                )
            )  # fmt: skip
    items.sort(key=lambda item: item.value)
    title = f"{len(items)} specifications, sorted, and the choices behind each"
    file = f"{study.name}-specifications.svg"
    drawing = specification.curve(
        items, lines, name=file.removesuffix(".svg"), token=TOKEN, width=specification.WIDE
    )
    return Drawn(
        f"{study.name}-specifications",
        f"{study.name}, the specification curve",
        (
            "blue dots: the median over repeats of one combination, with its interval",
            "grey dots: score and truth are about other parameters",
            "band: what unrelated lists of as many pairs give in one run (95 %)",
        ),
        (Panel(file, title, alone(drawing)),),
        "",
        rows_of_all([study], folder, "spearman")
        .replace("= 'spearman'", "IN ('spearman', 'pearson')")
        .replace("repeat, value", "repeat, metric, value"),
        (study,),
    )  # fmt: skip


def _truths(study: Study, folder: str) -> Drawn:
    choices = beside.choices(study)
    faults = [c for c in choices if not all(path.startswith("models.") for path in _paths(c))]
    sizes = [c for c in choices if c not in faults]
    procedures = _procedures(study)
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    facts = _facts(study)
    for row in study.correlations:
        here = facts[row["arm"]]
        mended = all(beside.level(here, choice) == list(choice)[-1] for choice in faults)
        if row["metric"] == "spearman" and row["value"] is not None and mended:
            size = ", ".join(str(beside.level(here, choice)) for choice in sizes) or study.name
            values[size][str(procedures.index(row["procedure"]) + 1)].append(row["value"])
    series = [
        Series(label, SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)], found)
        for i, (label, found) in enumerate(values.items())
    ]
    levels = [str(place + 1) for place in range(len(procedures))]
    frame = frame_of(
        series, levels, "truth", "Spearman", "spearman", logarithmic=False, chance=None
    )
    file = f"{study.name}-truths.svg"
    title = "The mended score beside each truth"
    drawing = means(series, frame, name=file.removesuffix(".svg"), title=title)
    keys = [f"{MARKS[one.marker]}: {one.label}" for one in series]
    keys += [f"truth {place}: `{name}`" for place, name in zip(levels, procedures, strict=True)]
    return Drawn(
        f"{study.name}-truths",
        f"{study.name}, the ladder of truths",
        tuple(keys),
        (Panel(file, title, alone(drawing)),),
        "The score with every swept fault mended (the last level of each), means over repeats with"
        " 95 % intervals.",
        rows_of_all([study], folder, "spearman"),
        (study,),
    )


def _facts(study: Study) -> Mapping[str, Mapping[str, object]]:
    return {row["arm"]: json.loads(row["factors"] or "{}") for row in study.cells}


def _procedures(study: Study) -> list[str]:
    known = {row["procedure"] for row in study.correlations}
    written = declared(study.run, "procedures")
    order = [name for name in written if name in known] if isinstance(written, dict) else []
    return order + sorted(known - set(order))


def _paths(choice: Mapping[str, Mapping[str, object]]) -> Sequence[str]:
    return list(next(iter(choice.values())))


def _heading(choice: Mapping[str, Mapping[str, object]]) -> str:
    return _paths(choice)[0].rpartition(".")[2].replace("_", " ")


def _values(level: str) -> str:
    return ", ".join(part.rpartition(" = ")[2] for part in level.split(", "))


def _cut(label: str) -> str:
    return label if len(label) <= MOST else f"{label[: MOST - 1]}…"
