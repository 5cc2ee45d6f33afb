"""The paper's figures 4 and 5: single runs, from recorded pairs and trajectories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fragility.references import Published
from fragility.references.published import PublishedRun
from fragility.report.context import Combination, natural
from fragility.report.figures.curves import curves, gather
from fragility.report.figures.pairs import ranks
from fragility.report.pairs import Choice, Pairs
from fragility.report.reproduction.families import CORRECTED, Study
from fragility.report.reproduction.figures import Drawn, Panel, alone
from fragility.report.text import number
from fragility.store import recorded_examples
from fragility.store.recorded_examples import PAIRS_FILE, REPEAT, TRAJECTORIES_FILE

STEPS = 120
TITLES = {"iris-depth": "Iris", "mnist-fc": "MNIST, one hidden layer"}
READINGS = {"published": "as published, by us", CORRECTED: "corrected"}
TOKENS = {"published": "s2", CORRECTED: "s3"}

Row = Mapping[str, Any]


def single_runs(folder: Path, studies: Sequence[Study], reference: Published) -> list[Drawn]:
    """Returns figures 4 and 5."""
    known = {study.name: study for study in studies}
    return [
        _ranks(recorded_examples.rows(folder, PAIRS_FILE), known, reference, folder.name),
        _curves(recorded_examples.rows(folder, TRAJECTORIES_FILE), known, folder.name),
    ]


def _ranks(
    rows: Sequence[Row], studies: Mapping[str, Study], reference: Published, folder: str
) -> Drawn:
    groups = _grouped(rows, "estimator")
    theirs, ours = [], []
    for (study, arm, reading), members in groups.items():
        if study in studies and reading in READINGS:
            title = f"{TITLES.get(study, study)}, {arm}, {READINGS[reading]}"
            name = f"{study}-{arm}-{reading}"
            ours.append((study, _rank_panel(_pairs(members), title, name, TOKENS[reading])))
    for run in reference.runs:
        title = f"{reference.families[run.family].title}, {run.setting}, published, run {run.run}"
        name = f"{run.family.rpartition('/')[2]}-{run.setting}-published"
        theirs.append(_rank_panel(_published(run), title, name, "s1"))
    iris = [panel for study, panel in ours if study.startswith("iris")]
    panels = [*iris, *theirs, *(panel for _, panel in ours if panel not in iris)]
    made = _drawn_from(groups, studies)
    return Drawn(
        "figure-4",
        "Figure 4, true and estimated effects by rank",
        (
            "dark dots and line: the measured effect of each removal, in descending order",
            "coloured dots: the score, on an axis of its own where it is of another size",
            "dashed line: retraining with nothing removed",
        ),
        tuple(panels),
        f"Of ours repeat {REPEAT}, named before looking: on Iris the smallest and the largest"
        " depth, on MNIST the largest width. The published run is the one that the paper draws on"
        f' the right; its pairs are `runs` of `load_reference("{reference.name}")`.',
        f"SELECT * FROM '{folder}/{PAIRS_FILE}' ORDER BY study, arm, estimator, effect DESC"
        if made
        else "",
        made,
    )


def _rank_panel(pairs: Pairs, title: str, name: str, token: str) -> Panel:
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.stats import spearmanr

    file = f"figure-4-{_slug(name)}.svg"
    found = float(spearmanr(pairs.score, pairs.effect).statistic)
    told = f"{title}: Spearman {number(found)}"
    drawing = ranks(pairs, name=file.removesuffix(".svg"), title=told, token=token)
    return Panel(file, told, alone(drawing))


def _pairs(rows: Sequence[Row]) -> Pairs:
    points = [row for row in rows if row["train_point"] is not None and row["score"] is not None]
    placebo = [row["effect"] for row in rows if row["train_point"] is None]
    return _sorted(
        [row["score"] for row in points],
        [row["effect"] for row in points],
        [f"training point {row['train_point']}" for row in points],
        placebo[0] if placebo else None,
    )


def _published(run: PublishedRun) -> Pairs:
    names = [f"point {place + 1} of {len(run.scores)}" for place in range(len(run.scores))]
    return _sorted(run.scores, run.effects, names, None)


def _sorted(
    scores: Sequence[float], effects: Sequence[float], names: Sequence[str], placebo: float | None
) -> Pairs:
    score, effect = (np.array(values, dtype=np.float64) for values in (scores, effects))
    known = np.flatnonzero(np.isfinite(score) & np.isfinite(effect))
    order = known[np.argsort(-effect[known], kind="stable")]
    return Pairs(
        Choice(Combination("", "", ""), "", REPEAT, 0, None, "only", 1),
        np.arange(1, order.size + 1),
        tuple(names[place] for place in order),
        score[order], effect[order], effect[order], effect[order], 1, placebo,
        score.size - order.size,
    )  # fmt: skip


def _curves(rows: Sequence[Row], studies: Mapping[str, Study], folder: str) -> Drawn:
    groups = _grouped(rows, "procedure")
    panels = []
    for (study, arm, procedure), members in groups.items():
        if study not in studies:
            continue
        title = f"{TITLES.get(study, study)}, {arm}, {READINGS.get(procedure, procedure)}"
        file = f"figure-5-{_slug(f'{study}-{arm}-{procedure}')}.svg"
        drawing = curves(
            gather(members, STEPS), name=file.removesuffix(".svg"), title=title,
            token=TOKENS.get(procedure, "s2"), quantity="test loss",
        )  # fmt: skip
        panels.append(Panel(file, title, alone(drawing)))
    made = _drawn_from(groups, studies)
    return Drawn(
        "figure-5",
        "Figure 5, the test loss along retraining",
        (
            "thin lines: one training point removed",
            "dashed line: retraining with nothing removed",
        ),
        tuple(panels),
        f"Repeat {REPEAT} of the same settings. Every retraining starts at the trained network with"
        " the learning rate at its full height again: what all lines have in common has nothing to"
        " do with the removed point. The published curves are not among the published arrays.",
        f"SELECT * FROM '{folder}/{TRAJECTORIES_FILE}' ORDER BY study, arm, removed, step",
        made,
    )


def _grouped(rows: Iterable[Row], last: str) -> Mapping[tuple[str, str, str], list[Row]]:
    """Returns rows by study, arm and reading, smaller models first, as published first."""
    found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["study"], row["arm"], row[last]].append(row)
    order = list(READINGS)
    return {
        key: found[key]
        for key in sorted(
            found,
            key=lambda k: (k[0], natural(k[1]), order.index(k[2]) if k[2] in order else len(order)),
        )
    }


def _drawn_from(
    groups: Iterable[tuple[str, str, str]], studies: Mapping[str, Study]
) -> tuple[Study, ...]:
    """Returns the studies of the groups, each once."""
    names = dict.fromkeys(study for study, _, _ in groups)
    return tuple(studies[name] for name in names if name in studies)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())
