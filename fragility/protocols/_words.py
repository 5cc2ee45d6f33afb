"""Rules in words."""

from __future__ import annotations

from collections.abc import Mapping

from fragility.protocols._rules import Rule

WORDS: Mapping[str, Mapping[str, str]] = {
    "tests": {
        "all": "all test points",
        "max_loss": "the test point of the largest base loss",
        "median_loss": "the test point of the median base loss",
        "random": "one test point at random",
    },
    "removals": {
        "all": "all removals",
        "top_size": "the {} removals of the largest |score|",
        "top_score": "the {} removals of the largest score",
        "band": "the {} removals around the 30th percentile of |score|",
        "random": "{} removals at random",
        "top_loss": "the {} removed points of the largest training loss",
    },
    "truth": {"mean": "mean of the replicates", "single": "one replicate"},
    "measure": {"pearson": "Pearson", "spearman": "Spearman", "|spearman|": "|Spearman|"},
    "aggregation": {
        "per_test": "averaged over test points and repeats",
        "pooled": "all test points pooled, averaged over repeats",
        "of_means": "of means over repeats, averaged over test points",
    },
}


def words(rule: Rule) -> str:
    """Returns a rule in words."""
    removals = WORDS["removals"]["all" if rule.count is None else rule.removals]
    weighted = ", weighted by the inverse of the probability drawn" if rule.weighted else ""
    return (
        f"{WORDS['tests'][rule.tests]}; {removals.format(rule.count)}{weighted};"
        f" {WORDS['truth'][rule.truth]}; {WORDS['measure'][rule.measure]},"
        f" {WORDS['aggregation'][rule.aggregation]}"
    )
