"""Signed and absolute metrics of one study, from the YAML to the tables and the closing lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.cli.agreement import agreement_table
from fragility.metrics.spearman import Spearman
from tests.tiny import TINY, changed, rows, run


def test_a_signed_and_an_absolute_metric_are_told_apart_and_chance_is_stored(
    tmp_path: Path,
) -> None:
    metrics = ["spearman", {"kind": "spearman", "absolute": True}, "sign_agreement", "slope"]
    points = {"procedures.warm.train_points.count": 12, "metrics": metrics}
    summary = run(changed(TINY, points), tmp_path)
    found = {
        (metric, point): (value, chance)
        for metric, point, value, chance in rows(
            tmp_path, "SELECT metric, test_point, value, chance FROM agreements"
        )
    }
    tests = {point for _, point in found if point is not None}
    assert len(found) == 4 * (len(tests) + 1)
    size = Spearman(absolute=True).chance(12)
    for point in tests:
        signed, absolute = found["spearman", point], found["|spearman|", point]
        assert absolute[0] == abs(signed[0])
        assert signed[1] == 0
        assert absolute[1] == pytest.approx(size, rel=0.01)
        assert 0 <= found["sign_agreement", point][1] <= 1
    table = agreement_table(tmp_path, summary.run_id)
    assert "|Spearman|" in table
    assert f"chance {size:.2f}" in table
