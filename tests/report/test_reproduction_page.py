"""The committed page is the one that its recorded values and the shipped reference give."""

from __future__ import annotations

import re
from pathlib import Path

from fragility.report.reproduction.page import render
from fragility.store import recorded

FOLDER = Path(__file__).parents[2] / "docs" / "reproduction"
BYTES_A_STUDY = 20_000
"""Of all files together, on average: what 500 kB were for 25 studies."""


def test_the_committed_page_is_made_of_what_is_recorded() -> None:
    text, drawn = render(FOLDER)

    assert FOLDER.with_suffix(".md").read_text(encoding="utf-8") == text
    assert {panel.file for one in drawn for panel in one.panels} == {
        path.name for path in FOLDER.glob("*.svg")
    }


def test_every_link_within_the_page_leads_somewhere() -> None:
    text = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    # As GitHub names headings: small letters, hyphens for spaces, no punctuation.
    places = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    places |= set(re.findall(r'<a id="([^"]+)"></a>', text))
    wanted = re.findall(r"\]\(#([^)]+)\)", text)
    short = text[text.index("## In short") : text.index("## Setting by setting")]

    assert set(wanted) <= places
    assert len(wanted) > 50
    for said in re.findall(r"^- .*$", short, re.M):
        assert "](#" in said


def test_recorded_values_stay_small() -> None:
    most = BYTES_A_STUDY * len(recorded.studies(FOLDER))
    assert sum(path.stat().st_size for path in FOLDER.glob("*.parquet")) < most
