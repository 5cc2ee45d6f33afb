"""The page of metrics names them all, and its numbers are theirs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fragility.metrics import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ROWS = [line.replace("\\|", "").strip("| ").split(" | ") for line in PAGE.splitlines()]


def test_every_metric_has_a_row_and_costly_ones_a_mark() -> None:
    first = {cells[0] for cells in ROWS if len(cells) == 5}
    for kind, metric in METRICS.methods.items():
        assert f"`{kind}`" + ("" if metric.by_default else " *") in first


def test_chance_levels_of_absolute_correlations_are_those_of_the_code() -> None:
    rows = [cells for cells in ROWS if len(cells) == 4 and re.fullmatch(r"\d+", cells[0])]
    assert len(rows) == 5
    for cells in rows:
        n, *sizes = map(float, cells)
        for kind, size in zip(("pearson", "spearman", "kendall"), sizes, strict=True):
            chance = METRICS.methods[kind](kind=kind, absolute=True).chance(int(n))
            assert chance == pytest.approx(size, abs=0.0005 + 0.003 * size)
