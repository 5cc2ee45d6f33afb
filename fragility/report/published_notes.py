"""What a reader must know beside the comparisons with published numbers."""

from __future__ import annotations

import math

from fragility.references.comparison import BOTH_AT_CHANCE, MARGINS, Held, Sample
from fragility.report.published import Against, Setting
from fragility.report.published_words import counts, words
from fragility.report.text import listing, plural
from fragility.statistics.two_samples import FEWEST, LEVEL

RULES = (
    "Medians of runs, with the number of runs; the difference is ours minus published, of"
    " eigenvalues the ratio, with its 90 % bootstrap interval; p is Mann and Whitney's, corrected"
    " (Holm) for all settings of a quantity. “Agrees”: the interval lies within"
    f" {MARGINS['spearman']:g} of a correlation, a factor of"
    f" {math.exp(MARGINS['hessian_top_eigenvalue']):g} of an eigenvalue,"
    f" {MARGINS['train_accuracy']:g} of an accuracy. Else “differs”: p is {LEVEL:g} or less."
    " “Cannot tell” is everything else, never a finding of its own; also where a side has"
    f" fewer than {FEWEST} runs, and where neither side can be told from unrelated lists."
)

TOGETHER = (
    "Averages over the settings of a family: of medians, and of their differences (of eigenvalues"
    " geometric ones); p is van Elteren's, which ranks runs within their setting, corrected (Holm)"
    " for all families of a quantity. Differences of opposite sign cancel: the settings by"
    " themselves are below."
)


def lead(found: Against) -> list[str]:
    """Returns what came of the comparisons: of families as a whole, then of single settings."""
    told = [_family(*line, found) for line in found.families if line[1].quantity == "spearman"]
    told.append(
        f"{counts(found.lines)}, by rules that were written down before any run of full size was"
        " compared."
    )
    if found.overrides:
        listed = listing([f"`{one}`" for one in found.overrides], 8)
        told.append(
            f"This run overrides its study: {listed}."
            " Agreement and difference may both come from that."
        )
    return told


def _family(setting: Setting, held: Held, found: Against) -> str:
    told = words(setting, held)
    judge = (
        f" ({told.judge})" if len({one.judge for one, _ in found.families if one.judge}) > 1 else ""
    )
    return (
        f"{found.reference.families[setting.family].title}{judge}: {told.quantity} averages"
        f" {told.published.split(' (')[0]} over the published {setting.axis}s and"
        f" {told.ours.split(' (')[0]} over ours, a difference of {told.difference}: {told.verdict}."
    )


def notes(found: Against) -> list[str]:
    """Returns what is particular to this run, and what is known of the published families."""
    told = _chance(found)
    if found.top_only:
        told.append(
            "No smallest eigenvalues were recorded: ours are the largest, the published ones those"
            " that are largest in size."
        )
    families = dict.fromkeys(setting.family for setting, _ in found.lines)
    known = [found.reference.families[name] for name in families]
    return [*told, *(f"{one.title} ({one.script}): {one.note}" for one in known if one.note)]


def _chance(found: Against) -> list[str]:
    told = []
    sides = {
        "ours": [held.ours for _, held in found.lines],
        "the published runs": [held.published for _, held in found.lines],
    }
    for whose, samples in sides.items():
        judged = [one for one in samples if one is not None and one.at_chance is not None]
        if judged:
            told.append(
                f"Of {plural(len(judged), 'setting')} with a correlation of {whose},"
                f" {_at_chance(judged)} cannot be told from unrelated lists."
            )
    both = sum(held.reason == BOTH_AT_CHANCE for _, held in found.lines)
    if both:
        told.append(
            f"{plural(both, 'comparison')} at chance on both sides show nothing: any two procedures"
            " that compute noise agree so."
        )
    return told


def _at_chance(samples: list[Sample]) -> int:
    return sum(bool(one.at_chance) for one in samples)
