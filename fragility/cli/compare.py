"""`fragility compare`: a run beside published numbers, or two runs beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fragility.cli import completion, text
from fragility.cli.options import STORE, StoreOption
from fragility.errors import UsageError

if TYPE_CHECKING:
    from fragility.report.published import Against
    from fragility.report.side_by_side import SideBySide

COLUMNS = (
    *("family", "setting", "arm", "estimator · procedure", "quantity"),
    *("published", "ours", "difference", "p", "verdict"),
)
ASCII = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u00d7": "x"})

SHOWN = ("pearson", "spearman", "|pearson|", "|spearman|", "slope")
"""Metrics of two runs that the table shows; JSON has all."""


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, or a study: its newest run.", autocompletion=completion.runs
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="RUN|REFERENCE",
            help="Another run, or a reference of `fragility list references`.",
            autocompletion=completion.comparable,
        ),
    ],
    json_: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    store: StoreOption = STORE,
) -> None:
    """Compare a run with published numbers, or with another run: differences with intervals.

    `docs/references.md` has the rules of the verdicts on published numbers.
    """
    from fragility.references import reference_names

    published = second in reference_names()
    told = _with_published(store, first, second) if published else _with_run(store, first, second)
    print(json.dumps(told.plain, indent=1) if json_ else told.table)


class _Told:
    """A comparison as text, and as JSON."""

    def __init__(self, table: str, plain: dict[str, Any]) -> None:
        self.table, self.plain = table, plain


def _with_published(store: Path, first: str, name: str) -> _Told:
    from fragility.cli.subject import find_run
    from fragility.report.published import against
    from fragility.report.source import Source
    from fragility.store import queries

    run_id, study = find_run(store, first)
    with queries.connect(store, run_id) as connection:
        found = against(Source(connection, run_id))
    if found is None or found.reference.name != name:
        raise UsageError(
            f"The study `{study}` of run {run_id} does not say what to hold against `{name}`.",
            "Add `reference:` to the study (docs/references.md) and run it again: what is done"
            " stays done.",
        )
    return _Told(_published_table(run_id, found), _published_plain(run_id, found))


def _published_table(run_id: str, found: Against) -> str:
    from dataclasses import asdict

    from fragility.report.published_words import Words, counts, words

    def table(told: Iterable[Words]) -> str:
        rows = [[value.translate(ASCII) for value in asdict(one).values()] for one in told]
        return text.table(COLUMNS, rows, indent="  ")

    families = list(dict.fromkeys(setting.family for setting, _ in found.lines))
    lines = [
        f"{run_id} beside {found.reference.name} (medians of runs; ours minus published,"
        " or the ratio; 90 % intervals; p corrected)"
    ]
    lines.append(table(words(*line) for line in found.lines))
    if found.families:
        lines.append("families as a whole (averages over settings)")
        lines.append(table(words(*line) for line in found.families))
    lines += [f"  overridden in this run: {', '.join(found.overrides)}"] * bool(found.overrides)
    lines += ["  no smallest eigenvalues were recorded: the largest alone"] * found.top_only
    lines.append(f"{counts(found.lines)}, of {text.plural(len(families), 'published family')}.")
    return "\n".join(lines)


def _published_plain(run_id: str, found: Against) -> dict[str, Any]:
    from fragility.report.published_words import record

    return {
        "run": run_id,
        "reference": found.reference.name,
        "overrides": list(found.overrides),
        "comparisons": [record(setting, held) for setting, held in found.lines],
        "families": [record(setting, held) for setting, held in found.families],
    }


def _with_run(store: Path, first: str, second: str) -> _Told:
    from dataclasses import asdict

    from fragility.report.side_by_side import side_by_side

    ids = [_run(store, name) for name in (first, second)]
    (rows, margin), (others, other_margin) = (_repeats(store, run_id) for run_id in ids)
    smaller = min(margin, other_margin)
    found = side_by_side(rows, others, smaller)
    plain = {"runs": ids, "equivalence_margin": smaller, **asdict(found)}
    return _Told("\n".join(_runs_lines(ids, smaller, found)), plain)


def _repeats(store: Path, run_id: str) -> tuple[Sequence[Mapping[str, Any]], float]:
    """Returns a run's agreement in every repeat, and its study's margin of equivalence."""
    from fragility.report.declared import equivalence_margin
    from fragility.report.source import Source
    from fragility.store import cli_queries, queries

    with queries.connect(store, run_id) as connection:
        source = Source(connection, run_id)
        return source.ask(cli_queries.REPEATS), equivalence_margin(source.run)


def _run(store: Path, name: str) -> str:
    from fragility.cli.subject import find_run

    try:
        return find_run(store, name)[0]
    except UsageError as error:
        from fragility.references import reference_names

        known = ", ".join(f"`{one}`" for one in reference_names())
        hint = f"{error.hint}; references: {known}." if error.hint else f"References: {known}."
        raise UsageError(error.message, hint) from None


def _runs_lines(ids: Sequence[str], margin: float, found: SideBySide) -> Iterator[str]:
    yield f"{ids[0]} (A) beside {ids[1]} (B): means over repeats; 95 % intervals; p corrected"
    shown = [one for one in found.rows if one.metric in SHOWN]
    header = (
        "arm",
        "estimator",
        "procedure",
        "metric",
        "A",
        "B",
        "B - A",
        "p",
        "repeats",
        "verdict",
    )
    rows = [
        (
            *(one.arm, one.estimator, one.procedure, one.metric),
            _number(one.first),
            _number(one.second),
            _number(one.difference) + _bracketed(one.low, one.high),
            _number(one.corrected),
            f"{one.repeats[0]}, {one.repeats[1]}{' paired' if one.paired else ''}",
            f"{one.verdict} ({one.reason})" if one.reason else one.verdict,
        )
        for one in shown
    ]
    if rows:
        yield text.table(header, rows, indent="  ")
    else:
        yield "  no arm, estimator and procedure is measured in both"
    for letter, only in zip("AB", (found.only_first, found.only_second), strict=True):
        if only:
            yield f"  only in {letter}: {'; '.join(' · '.join(arm) for arm in only)}"
    yield f"  agrees: correlations within {margin:g}, the smaller margin of the two studies"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:.2g}" if 0 < size < 0.01 or size >= 1000 else f"{value:.3f}"


def _bracketed(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{_number(low)}, {_number(high)}]"
