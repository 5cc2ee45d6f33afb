"""The committed page is the one that its recorded values and the shipped reference give."""

from __future__ import annotations

from pathlib import Path

from fragility.report.reproduction.page import render

FOLDER = Path(__file__).parents[2] / "docs" / "reproduction"
MOST_BYTES = 500_000


def test_the_committed_page_is_made_of_what_is_recorded() -> None:
    text, drawn = render(FOLDER)

    assert FOLDER.with_suffix(".md").read_text(encoding="utf-8") == text
    assert {panel.file for one in drawn for panel in one.panels} == {
        path.name for path in FOLDER.glob("*.svg")
    }


def test_recorded_values_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.parquet")) < MOST_BYTES
