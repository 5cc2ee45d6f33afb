"""The tables and sentences that answer the paper's three claims, as the template takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fragility.report.reproduction import claims, sentences
from fragility.report.reproduction.families import SIDES, Family
from fragility.report.text import MISSING, number, p_value, percent

_REGULARIZED = {
    claims.RISES: "higher",
    claims.FALLS: "lower",
    claims.LITTLE: claims.LITTLE,
    claims.UNKNOWN: claims.UNKNOWN,
}


def claim_tables(shown: Sequence[Family]) -> dict[str, Any]:
    """Returns rows and sentences of size, regularization and metric, by name."""
    sizes = claims.size_effects(shown)
    decays = claims.regularization_effects(shown)
    metrics = claims.metric_effects(shown)
    return {
        "sizes": [
            {
                "family": one.family.link,
                "reading": sentences.reading(one.family, one.side),
                "runs": one.runs,
                "anova": f"{number(one.f)}, {p_value(one.p)}",
                "trend": f"{number(one.trend)}, {p_value(one.p_trend)}",
                "ends": f"{one.first} to {one.last}",
                "change": sentences.value(one.change),
                "answer": one.answer,
            }
            for one in sorted(sizes, key=lambda one: shown.index(one.family))
        ],
        "size_words": _said(sentences.size_summary, sizes),
        "anova_words": _said(sentences.anova_summary, sizes),
        "decays": [
            {
                "what": one.what,
                "family": f"{one.regularized.link} − {one.bare.link}",
                "reading": sentences.READINGS[one.side],
                "runs": f"{one.runs[0]}, {one.runs[1]}",
                "change": sentences.value(one.change),
                "each": f"{one.above} higher, {one.below} lower, of {one.sizes}",
                "answer": _REGULARIZED[one.answer],
            }
            for one in sorted(
                decays,
                key=lambda one: [pair[:2] for pair in claims.PAIRS].index(
                    (one.what, one.regularized.anchor)
                ),
            )
        ],
        "decay_words": _said(sentences.regularization_summary, decays),
        "metrics": [
            {
                "family": one.family.link,
                "reading": sentences.reading(one.family, one.side),
                "runs": one.runs,
                "spearman": sentences.value(one.spearman),
                "signed": sentences.value(one.signed),
                "pearson": sentences.value(one.pearson),
                "apart": sentences.value(one.apart),
                "negative": percent(one.negative),
                "chance": MISSING if one.at_chance is None else f"{one.at_chance} of {one.judged}",
            }
            for one in sorted(metrics, key=lambda one: shown.index(one.family))
        ],
        "answers": sentences.claim_headlines(sizes, decays, metrics),
        "metric_words": _said(sentences.metric_summary, metrics),
    }


def _said(summary: Any, effects: Sequence[Any]) -> list[str]:
    return [said for side in SIDES if (said := summary(effects, side))]
