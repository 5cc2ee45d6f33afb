"""What a comparison with published numbers says: as words for a table, and as plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fragility.references.comparison import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    NOT_MEASURED,
    NOT_THERE,
    Held,
    Sample,
)
from fragility.references.declared import CORRELATIONS, Quantity
from fragility.report.context import metric_name
from fragility.report.published import Setting
from fragility.report.text import MISSING, estimate, listing, metric_value, number, plural

NAMES = {"hessian_top_eigenvalue": "top eigenvalue", "train_accuracy": "train accuracy"}


@dataclass(frozen=True)
class Words:
    """A comparison in words, one a column of a table."""

    family: str
    setting: str
    arm: str
    judge: str
    quantity: str
    published: str
    ours: str
    difference: str
    p: str
    verdict: str


def words(setting: Setting, held: Held) -> Words:
    """Returns a comparison in words: medians with numbers of runs, difference, p and verdict."""
    return Words(
        family=setting.family,
        setting=setting.name,
        arm=setting.arm,
        judge=" · ".join(setting.judge) if setting.judge else "",
        quantity=quantity_name(held.quantity, absolute=held.absolute),
        published=_side(held.published, held.quantity),
        ours=_side(held.ours, held.quantity),
        difference=difference(held),
        p=number(held.ranks.corrected) if held.ranks else MISSING,
        verdict=f"{held.verdict} ({held.reason})" if held.reason else held.verdict,
    )


def quantity_name(quantity: Quantity, *, absolute: bool) -> str:
    """Returns a quantity as readers know it, `|Spearman|` where its sign was dropped."""
    name = NAMES.get(quantity) or metric_name(quantity)
    return f"|{name}|" if absolute and quantity in CORRELATIONS else name


def difference(held: Held) -> str:
    """Returns ours minus published with its interval, a ratio where logarithms were compared."""
    found = held.difference
    if found is None or found.value is None:
        return MISSING
    if held.logarithmic:
        ratio = found.map(math.exp)
        return f"× {estimate('', ratio.value, ratio.low, ratio.high)}"
    metric = held.quantity if held.quantity in CORRELATIONS else "cosine"
    return estimate(metric, found.value, found.low, found.high)


def counts(lines: Sequence[tuple[Setting, Held]]) -> str:
    """Returns how many comparisons have each verdict, as `Of 8 comparisons, 1 agrees, ...`."""
    tally = Counter(held.verdict for _, held in lines)
    phrases = {
        AGREES: ("agrees", "agree"),
        DIFFERS: ("differs", "differ"),
        CANNOT_TELL: ("cannot tell", "cannot tell"),
        NOT_THERE: ("is not in the reference", "are not in the reference"),
        NOT_MEASURED: ("was not measured", "were not measured"),
    }
    told = [
        f"{tally[name]} {one if tally[name] == 1 else many}"
        for name, (one, many) in phrases.items()
        if tally[name]
    ]
    return f"Of {plural(len(lines), 'comparison')}, {listing(told)}"


def record(setting: Setting, held: Held) -> dict[str, Any]:
    """Returns a comparison as plain data, with the numbers in the units they were compared in."""
    plain = asdict(held)
    for side in ("ours", "published"):
        if plain[side] is not None:
            plain[side]["runs"] = len(plain[side].pop("values")) + plain[side]["left_out"]
    return {
        **{key: value for key, value in asdict(setting).items() if key not in ("axis", "level")},
        **plain,
        "logarithmic": held.logarithmic,
    }


def _side(sample: Sample | None, quantity: Quantity) -> str:
    if sample is None:
        return MISSING
    metric = quantity if quantity in CORRELATIONS else "cosine"
    value = number(sample.median) if quantity not in (*CORRELATIONS, "train_accuracy") else None
    runs = f"{len(sample.values)} of {sample.runs}" if sample.left_out else str(sample.runs)
    return f"{value or metric_value(metric, sample.median)} ({runs})"
