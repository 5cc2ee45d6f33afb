"""Examples: who helps and who harms chosen test examples, as pictures or rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fragility.report.context import Context
from fragility.report.examples import Ends, Look, Shown, Trained, gather
from fragility.report.parts import DataTable, Section, data_table
from fragility.report.text import MISSING, interval, number, plural

HEADING = "Examples"
MOST_COLUMNS = 12
OPEN = 3
"""Estimators whose examples are shown at once; more of them are folded."""


Columns = Mapping[str, bool]
"""Names of columns, and whether they hold whole numbers."""


@dataclass(frozen=True)
class Card:
    """One example in words: its name, its label, score, effect, and what was planted."""

    name: str
    title: str
    label: str
    score: str
    effect: str
    bounds: str
    marks: Sequence[str]
    picture: str
    columns: Sequence[str]


@dataclass(frozen=True)
class Group:
    """Cards at both ends of one list, or why there are none at one of them."""

    title: str
    ends: Sequence[tuple[str, Sequence[Card], str]]


@dataclass(frozen=True)
class Figure:
    """One test example with what is shown beside it; `columns` where examples are rows."""

    id: str
    label: str
    title: str
    tested: Card
    facts: Sequence[tuple[str, str]]
    pictures: bool
    columns: Sequence[str]
    shown: Sequence[Group]
    folded: Sequence[Group]
    reading: str
    notes: Sequence[str]
    table: DataTable


def section(context: Context) -> Section:
    """Returns a figure for each shown test example, or why there is none."""
    found = gather(context)
    figures = [_figure(context, place, shown) for place, shown in enumerate(found)]
    total = len(context.arms)
    arms = len({shown.tested.arm for shown in found})
    rest = "" if arms == total else f" Shown are {arms} of {total} arms, evenly spaced."
    repeats = " of its first repeat" if context.repeats > 1 else ""
    data = {
        "figures": figures,
        "lead": "A positive score says that the example helps: without it the loss of the test"
        " example is predicted to rise. A positive effect says that it did. Test examples of an"
        f" arm are those{repeats} with the highest and lowest loss, and between.{rest}",
        "nothing": "No example was kept with this run. They are kept while scores of test"
        " examples are computed; scores that an earlier version computed have none.",
    }
    return Section("examples", HEADING, data)


def _figure(context: Context, place: int, shown: Shown) -> Figure:
    tested = shown.tested
    label = f"{context.arm_label(tested.arm)} · test point {tested.point}"
    names = _columns(_looks(shown))
    groups = [_group(ends, shown, names) for ends in shown.ends]
    scored = [group for group, ends in zip(groups, shown.ends, strict=True) if ends.by]
    measured = [group for group, ends in zip(groups, shown.ends, strict=True) if not ends.by]
    return Figure(
        id=f"examples-{place}",
        label=f"{label}, {tested.place}" if tested.loss is not None else label,
        title=label,
        tested=_card(f"test point {tested.point}", tested.look, names),
        facts=_facts(shown),
        pictures=any(look.picture for look in _looks(shown)),
        columns=list(names),
        shown=[*scored[:OPEN], *measured],
        folded=scored[OPEN:],
        reading=_reading(shown),
        notes=_notes(shown),
        table=data_table(shown.rows),
    )


def _looks(shown: Shown) -> list[Look]:
    trained = [one for ends in shown.ends for one in (*ends.helpful, *ends.harmful)]
    return [shown.tested.look, *(one.look for one in trained if one.look is not None)]


def _columns(looks: Sequence[Look]) -> Columns:
    """Returns the columns in order, and whether all of their values are whole numbers."""
    values: dict[str, list[object]] = {}
    for look in looks:
        for name, value in look.columns.items():
            values.setdefault(name, []).append(value)
    return {
        name: all(isinstance(v, int | float) and float(v).is_integer() for v in column)
        for name, column in values.items()
    }


def _facts(shown: Shown) -> list[tuple[str, str]]:
    tested, look = shown.tested, shown.tested.look
    facts = [("label", look.label), ("prediction", look.prediction)]
    if tested.loss is not None:
        facts.append(("loss before", f"{number(tested.loss)}, {tested.place}"))
    if shown.placebo is not None:
        facts.append(("placebo", f"{signed(shown.placebo)}, {shown.procedure} without a removal"))
    return [*facts, ("source", _source(look))]


def _source(look: Look) -> str:
    row = "" if look.source_row is None else f"row {look.source_row}"
    return look.file or row


def _group(ends: Ends, shown: Shown, names: Columns) -> Group:
    title = ends.by
    if not title:
        title = f"By effect ({shown.procedure}), of {plural(shown.removed, 'removal')}"
        title += f"; scores of {shown.estimator}" if shown.estimator else ""
    what = "score" if ends.by else "effect"
    return Group(
        title,
        [
            (f"most {end}", [_trained(one, shown, names) for one in cards], _none(what, sign))
            for end, cards, sign in (
                ("helpful", ends.helpful, "positive"),
                ("harmful", ends.harmful, "negative"),
            )
        ],
    )


def _none(what: str, sign: str) -> str:
    return f"No training example has a {sign} {what}."


def _trained(one: Trained, shown: Shown, names: Columns) -> Card:
    look = one.look or Look("", "", None, "", {}, "")
    marks = [f"planted: was {one.was}"] if one.was else []
    marks += [] if one.copy_of is None else [f"copy of {one.copy_of}"]
    return _card(
        f"training point {one.point}",
        look,
        names,
        score=signed(one.score) if one.score is not None else "",
        effect=_effect(one, shown),
        bounds=_bounds(one),
        marks=marks,
    )


def _bounds(one: Trained) -> str:
    """Returns the interval, nothing where its ends are the same as far as they are printed."""
    same = number(one.low) == number(one.high)
    return "" if same else interval(one.low, one.high)


def _effect(one: Trained, shown: Shown) -> str:
    if one.effect is not None:
        return signed(one.effect)
    if one.replicates is not None:
        return "diverged"
    return "not retrained" if shown.procedure else ""


def _card(
    name: str,
    look: Look,
    names: Columns,
    score: str = "",
    effect: str = "",
    bounds: str = "",
    marks: Sequence[str] = (),
) -> Card:
    source = _source(look)
    title = f"{name} ({source})" if source else name
    columns = [_value(look.columns.get(column), whole) for column, whole in names.items()]
    return Card(name, title, look.label, score, effect, bounds, marks, look.picture, columns)


def _value(value: float | int | str | None, whole: bool) -> str:
    if value is None or isinstance(value, str):
        return value or MISSING
    return number(int(value) if whole else value)


def signed(value: float) -> str:
    """Returns a number with its sign, also when it is positive."""
    return f"+{number(value)}" if value > 0 else number(value)


def _reading(shown: Shown) -> str:
    scored = [ends for ends in shown.ends if ends.by]
    if not scored:
        return "No score of this test example is stored."
    first = scored[0]
    sides = [
        f"{one[0].point}{_labelled(one[0])} the most {word} ({signed(one[0].score or 0.0)})"
        for one, word in ((first.helpful, "helpful"), (first.harmful, "harmful"))
        if one
    ]
    if not sides:
        return f"{first.by} gives every training example a score of 0."
    return f"{first.by} calls training point {' and '.join(sides)}; {_check(first, shown.placebo)}."


def _labelled(one: Trained) -> str:
    return f", labelled {one.look.label}," if one.look and one.look.label else ""


def _check(ends: Ends, placebo: float | None) -> str:
    """Returns how the effects of the shown examples compare with their scores."""
    every = [*ends.helpful, *ends.harmful]
    known = [one for one in every if one.effect is not None]
    if not known:
        return f"none of the {len(every)} shown was removed and retrained"
    drift, less = placebo or 0.0, ", less the placebo," if placebo else ""
    same = sum(((one.effect or 0.0) - drift) * (one.score or 0.0) > 0 for one in known)
    return (
        f"{len(known)} of the {len(every)} shown were removed and retrained, and the effect{less}"
        f" of {same} has the sign of the score"
    )


def _notes(shown: Shown) -> list[str]:
    every = [one for ends in shown.ends for one in (*ends.helpful, *ends.harmful)]
    notes = []
    replicates = max((one.replicates or 0 for one in every), default=0)
    if replicates > 1:
        notes.append(
            f"Effects are means over {replicates} replicates, with Student's 95 % interval."
        )
    if any(one.was or one.copy_of is not None for one in every):
        notes.append("What the dataset planted is marked: labels that were replaced, and copies.")
    if len(shown.tested.look.columns) == MOST_COLUMNS:
        notes.append(f"At most {MOST_COLUMNS} columns of an example are kept, the first ones.")
    return notes
