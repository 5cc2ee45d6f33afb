"""docs/reproduction.md, made anew from recorded values and the shipped reference alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fragility.references import Published, load_reference
from fragility.references.comparison import Held
from fragility.report.published import Setting
from fragility.report.published_words import NAMES, words
from fragility.report.reproduction import beside, others, sentences
from fragility.report.reproduction.claim_tables import claim_tables
from fragility.report.reproduction.factorial import factorial
from fragility.report.reproduction.families import (
    CORRECTED,
    INTERVAL,
    Family,
    Study,
    families,
    load,
    median,
)
from fragility.report.reproduction.figure_2 import figure_2
from fragility.report.reproduction.figures import Drawn, figures
from fragility.report.reproduction.publications import publication
from fragility.report.reproduction.single_runs import single_runs
from fragility.report.text import MISSING, count, duration, listing
from fragility.resources import resource
from fragility.store.files import write_atomic
from fragility.store.recorded import rows_of
from fragility.store.report_queries import text

REFERENCE = "epifano-2023"
FINDINGS = "findings.md"
"""Beside the recorded values: what was found when looking into disagreements, written by hand."""


def write(folder: Path) -> Path:
    """Writes the page beside the folder of recorded values, its figures into it.

    `docs/reproduction` gives `docs/reproduction.md`. Returns the page's path. Raises `UsageError`
    when nothing is recorded there.
    """
    page, drawn = render(folder)
    for old in folder.glob("*.svg"):
        old.unlink()
    for panel in (panel for one in drawn for panel in one.panels):
        write_atomic(folder / panel.file, panel.svg.encode())
    path = folder.with_name(f"{folder.name}.md")
    write_atomic(path, page.encode())
    return path


def render(folder: Path) -> tuple[str, list[Drawn]]:
    """Returns the page and its figures; the same files give the same bytes."""
    reference = load_reference(REFERENCE)
    studies = load(folder)
    known = families(studies, reference)
    shown = [family for family in known if family.study is not None]
    drawn = _figures(folder, studies, known, reference)
    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        # Markdown, of numbers and of words of this package.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    findings = folder / FINDINGS
    page = environment.get_template("reproduction.md").render(
        reference=reference,
        folder=folder.name,
        families=[_family(one, one.study, folder.name, shown) for one in shown if one.study],
        beside=[_beside(one, folder.name) for one in studies if _is_beside(one)],
        others=[_other_paper(one, folder.name) for one in _of_other_papers(studies)],
        headlines=sentences.headlines(shown),
        studies=[_study(one) for one in studies],
        versions=_versions(studies),
        figures=[_figure(one) for one in drawn],
        absent=_absent(shown, reference),
        findings=findings.read_text(encoding="utf-8").strip() if findings.is_file() else "",
        confidence=f"{100 * INTERVAL:.0f}",
        claims_sql=_claims_rows([one.study for one in shown if one.study], folder.name),
        **claim_tables(known),
    )
    return page, drawn


def _figures(
    folder: Path, studies: Sequence[Study], known: Sequence[Family], reference: Published
) -> list[Drawn]:
    """Returns every figure with a panel, those of the paper first and in its order."""
    found = [
        *figures(known, folder.name),
        figure_2(known, reference, folder.name),
        *single_runs(folder, studies, reference),
        *(one for study in studies if _is_beside(study) for one in factorial(study, folder.name)),
    ]
    theirs = [one for one in found if one.name.startswith("figure-")]
    rest = [one for one in found if one not in theirs]
    return [one for one in (*sorted(theirs, key=lambda one: one.name[:8]), *rest) if one.panels]


def _figure(one: Drawn) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "markers": one.keys,
        "note": one.note,
        "rows": [one.panels[place : place + 2] for place in range(0, len(one.panels), 2)],
        "sql": one.sql,
        "commands": [study.run["command"] for study in one.studies],
    }


def _family(family: Family, study: Study, folder: str, shown: Sequence[Family]) -> dict[str, Any]:
    order = [setting.name for setting in family.settings]
    others = [line for line in family.lines if line[1].quantity != "spearman"]
    others.sort(key=lambda line: order.index(line[0].name))
    return {
        "title": family.title,
        "key": family.key,
        "place": family.place,
        "note": family.published.note,
        "script": family.published.script,
        "missing": not family.published.settings,
        "overrides": listing([f"`{one}`" for one in family.overrides], 9),
        "command": study.run["command"],
        "compare": f"fragility compare {study.run['run_id']} {REFERENCE}{_store(study)}",
        "sql": rows_of(study.name, folder),
        "paragraph": sentences.paragraph(family),
        "same": _same(family, shown),
        "correlations": [_correlations(family, setting.name) for setting in family.settings],
        "whole": [_other(*line) for line in family.whole],
        "others": [_other(*line) for line in others],
    }


def _same(family: Family, shown: Sequence[Family]) -> str:
    """Returns the family before whose corrected values these are, or nothing."""
    mine = family.values("corrected", "spearman")
    for other in shown[: shown.index(family)]:
        theirs = other.values("corrected", "spearman")
        same = mine.keys() == theirs.keys() and all(
            np.array_equal(mine[level], theirs[level]) for level in mine
        )
        if mine and same:
            return other.anchor
    return ""


def _correlations(family: Family, name: str) -> dict[str, str]:
    setting = next(one for one in family.settings if one.name == name)
    held = family.held(name, "spearman")
    told = words(setting, held) if held else None
    row = {
        "setting": name,
        "arm": setting.arm,
        "published": told.published if told else MISSING,
        "ours": told.ours if told else MISSING,
        "difference": told.difference if told else MISSING,
        "verdict": told.verdict if told else MISSING,
    }
    for quantity in ("spearman", "pearson"):
        values = family.values("corrected", quantity).get(setting.level)
        row[quantity] = MISSING
        if values is not None:
            found = median(values, family.key, CORRECTED, setting.level, quantity)
            row[quantity] = f"{sentences.value(found)} ({len(values)})"
    return row


def _other(setting: Setting, held: Held) -> dict[str, str]:
    told = words(setting, held)
    name = NAMES.get(held.quantity) or held.quantity.capitalize()
    if held.absolute and held.quantity not in NAMES:
        name = f"{name}, absolute"
    return {
        "setting": setting.name,
        "quantity": name,
        "published": told.published,
        "ours": told.ours,
        "difference": told.difference,
        "verdict": told.verdict,
    }


def _beside(study: Study, folder: str) -> dict[str, Any]:
    found, effects = beside.agreements(study), beside.effects(study)
    clearest = beside.clearest(effects)
    return {
        "study": study.name,
        "clearest": clearest
        and {
            "first": clearest.first,
            "level": clearest.level,
            "pair": " · ".join(clearest.pair),
            "change": sentences.value(clearest.change),
        },
        "title": study.run["title"] or study.name,
        "path": study.run["study_path"] or study.name,
        "command": study.run["command"],
        "sql": rows_of(study.name, folder),
        "ranges": [
            {
                "pair": " · ".join(one.pair),
                "about": "; ".join(said or "the same parameters" for said in one.mismatches),
                **{
                    name: f"{sentences.value(end.spearman)} ({end.repeats}), {end.arm}"
                    for name, end in (("lowest", one.lowest), ("highest", one.highest))
                },
            }
            for one in beside.ranges(found)
        ],
        "effects": [
            {
                "first": one.first,
                "level": one.level,
                "pair": " · ".join(one.pair),
                "change": f"{sentences.value(one.change)} ({one.repeats})",
            }
            for one in effects
        ],
        "rows": [
            {
                "arm": one.arm,
                "pair": " · ".join(one.pair),
                "repeats": one.repeats,
                "spearman": sentences.value(one.spearman),
                "pearson": sentences.value(one.pearson),
            }
            for one in found
        ],
    }


def _of_other_papers(studies: Sequence[Study]) -> list[Study]:
    """Returns the studies shipped after other papers, in the order in which those are told."""
    order = list(others.PAPERS)
    found = [one for one in studies if publication(one.run) in order]
    return sorted(found, key=lambda one: order.index(str(publication(one.run))))


def _is_beside(study: Study) -> bool:
    return study.against is None and publication(study.run) not in others.PAPERS


def _other_paper(study: Study, folder: str) -> dict[str, Any]:
    found = others.agreements(study)
    name = str(publication(study.run))
    return {
        "name": name,
        "paper": others.PAPERS[name],
        "path": study.run["study_path"],
        "overrides": listing(_changed(study), 9),
        "repeats": study.repeats,
        "reading": others.reading(study, found),
        "rows": [
            {
                "arm": one.arm,
                "pair": f"{one.estimator} · {one.procedure}",
                "about": one.mismatch or "the same parameters",
                **{m: others.shown(m, one.values.get(m)) for m in others.METRICS},
                "over": f"{one.units} {one.over}",
                "ends": others.ends(one),
            }
            for one in found
        ],
        "command": study.run["command"],
        "medians": (
            "SELECT arm, estimator, procedure, metric, median(value)"
            f" FROM '{folder}/{study.name}.parquet' WHERE estimator IS NOT NULL"
            " GROUP BY ALL ORDER BY ALL"
        ),
        "sql": rows_of(study.name, folder),
    }


def _changed(study: Study) -> list[str]:
    """Returns what a run changed of its study, the number of repeats apart."""
    overrides = json.loads(study.run["overrides"] or "[]")
    return [f"`{one}`" for one in overrides if not one.startswith("repeats=")]


def _store(study: Study) -> str:
    """Returns the option that names the store of a run, as its command did."""
    told = shlex.split(study.run["command"] or "")
    return f" --store {told[told.index('--store') + 1]}" if "--store" in told[:-1] else ""


def _study(study: Study) -> dict[str, str]:
    run = study.run
    overrides = json.loads(run["overrides"] or "[]")
    unfinished = (run["tasks"] or 0) - (run["finished_tasks"] or 0)
    return {
        "name": study.name,
        "path": run["study_path"] or study.name,
        "run": run["run_id"],
        "command": run["command"] or "",
        "finished": f"{run['finished']:%Y-%m-%d}" if run["finished"] else MISSING,
        "status": run["status"],
        "arms": str(study.arms),
        "repeats": str(study.repeats),
        "tasks": count(run["tasks"] or 0),
        "unfinished": count(unfinished),
        "time": duration(run["task_seconds"]),
        "threads": str(run["threads"]),
        "device": str(run["device"]),
        "overrides": ", ".join(f"`{one}`" for one in overrides) or "none",
    }


def _versions(studies: Sequence[Study]) -> list[str]:
    """Returns the versions that were used, a line for each set of them."""
    found = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in json.loads(one.run["versions"]).items())
        for one in studies
        if one.run["versions"]
    )
    return list(found)


def _absent(shown: Sequence[Family], reference: Published) -> dict[str, list[Mapping[str, str]]]:
    run = {family.key for family in shown}
    rows: dict[str, list[Mapping[str, str]]] = {"not_run": [], "not_published": []}
    for key, family in reference.families.items():
        row = {"key": key, "title": family.title}
        if key not in run:
            rows["not_run"].append(row)
        if not family.settings:
            rows["not_published"].append(row)
    return rows


def _claims_rows(studies: Sequence[Study], folder: str) -> str:
    names = dict.fromkeys(one.name for one in studies)
    files = ", ".join(text(f"{folder}/{name}.parquet") for name in names)
    return (
        "SELECT study, arm, repeat, estimator, procedure, metric, value"
        f" FROM read_parquet([{files}]) WHERE metric IN ('spearman', 'pearson') ORDER BY ALL"
    )
