from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fragility.errors import UsageError
from fragility.report import render
from fragility.report.page import page
from fragility.store.queries import query
from tests.report import world
from tests.store import samples

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Checker(HTMLParser):
    """Fails on a tag that is not closed in order; collects text, ids and attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def parsed(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


def assert_sound(html: str) -> str:
    """Checks what holds for every report and returns its text."""
    checker = parsed(html)
    for tag, name, value in checker.attributes:
        if name in ("src", "href", "xlink:href", "action", "data"):
            drawn = tag == "img" and re.fullmatch(r"data:image/png;base64,[\w+/=]+", value)
            assert drawn or value.startswith("#"), (tag, name, value)
        assert "url(" not in value or re.fullmatch(r"url\(#[\w.-]+\)", value), value
    assert "http://" not in html
    assert "https://" not in html
    ids = [value for _, name, value in checker.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, name, value in checker.attributes if name == "href"}
    targets |= set(re.findall(r"url\(#([\w.-]+)\)", html))
    assert targets <= set(ids)
    text = " ".join(checker.text)
    assert not re.search(r"\b(nan|none\b(?=\s*\[)|inf)\b", text, re.IGNORECASE), text
    assert "None" not in text
    return text


def test_reports_are_sound(quickstart: str, depths: str) -> None:
    assert_sound(quickstart)
    assert_sound(depths)


def test_policy_allows_nothing_from_outside(quickstart: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', quickstart)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy[1]
    assert "img-src data:;" in policy[1]
    assert "unsafe-eval" not in policy[1]


def test_same_rows_give_the_same_bytes(quickstart: str) -> None:
    assert page(world.quickstart().connection(), world.RUN) == quickstart


def test_every_colour_comes_from_the_page(quickstart: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", quickstart, re.DOTALL)
    assert drawings
    assert not any(re.search(r"#[0-9a-f]{6}\b", drawing) for drawing in drawings)


def test_words_of_a_study_are_never_markup() -> None:
    evil = "<script>alert(1)</script> $x_1$ & co"
    w = world.World()
    w.add("runs", world.run_row(title=evil, study_text=f"question: '{evil}'\n# {evil}"))
    world.populate(w, [world.Arm(evil), world.Arm("b", noise=1)], tests=2, estimators=(evil, "x"))
    html = page(w.connection(), world.RUN)
    assert "<script>alert" not in html
    assert evil in assert_sound(html)


def test_every_figure_has_a_reading_a_query_and_rows(quickstart: str, depths: str) -> None:
    for html, least in ((quickstart, 5), (depths, 6)):
        figures = re.findall(r'<figure id="[^"]+">.*?</figure>', html, re.DOTALL)
        assert len(figures) >= least
        for figure in figures:
            reading = re.search(r'<p class="reading">(.+?)</p>', figure, re.DOTALL)
            assert reading is not None
            assert reading[1].endswith(".")
            assert '<pre class="sql"' in figure
            assert '<table class="data">' in figure
            assert "<svg" in figure


def test_every_printed_query_runs(depths: str, tmp_path: Path) -> None:
    connection = world.depths(4).connection()
    printed = printed_queries(depths)
    assert len(printed) > 10
    for sql in printed:
        connection.execute(sql).fetchall()
    samples.fill(tmp_path)
    html = render(tmp_path, "r0", tmp_path / "r0.html").read_text(encoding="utf-8")
    for sql in printed_queries(html):
        query(tmp_path, sql, "r0")


def printed_queries(html: str) -> set[str]:
    return {
        sql.replace("&#39;", "'").replace("&#34;", '"').replace("&gt;", ">").replace("&lt;", "<")
        for sql in re.findall(r'<pre class="sql"[^>]*>(.*?)</pre>', html, re.DOTALL)
    }


def test_long_tables_are_cut_and_say_so(depths: str) -> None:
    assert re.search(r"\d+ more rows: the query gives all \d+", depths)
    longest = max(
        body.count("<tr>") for body in re.findall(r"<tbody>.*?</tbody>", depths, re.DOTALL)
    )
    assert longest <= 200


def test_a_run_without_anything_renders() -> None:
    w = world.World()
    w.add("runs", world.run_row(status="failed", finished=None, seconds=None, peak_memory=None))
    text = assert_sound(page(w.connection(), world.RUN))
    assert "No agreement was measured" in text
    assert "Failed or skipped tasks: none" in text


def test_failed_tasks_are_named_with_their_reasons() -> None:
    w = world.World()
    w.add("runs", world.run_row(failed=1, skipped=1))
    world.populate(w, [world.Arm("linear")], tests=2)
    common = ("exact", None, None, None, "b")
    why = "the curvature matrix is singular"
    w.add("tasks", ("t1", "cell000r00", "estimate", *common, "failed", why, 1.0, None))
    w.add(
        "tasks", ("t2", "cell000r00", "measure", *common, "skipped", f"needs t1: {why}", None, None)
    )
    text = assert_sound(page(w.connection(), world.RUN))
    assert why in text
    assert "1 failed, 1 skipped" in text


def test_an_unknown_run_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no run `other`"):
        page(world.quickstart().connection(), "other")


def test_render_reads_a_real_store_and_writes_one_file(tmp_path: Path) -> None:
    samples.fill(tmp_path / "store")
    out = render(tmp_path / "store", "r0", tmp_path / "reports" / "r0.html")
    assert_sound(out.read_text(encoding="utf-8"))
    assert [path.name for path in out.parent.iterdir()] == ["r0.html"]


def test_a_failed_rendering_leaves_nothing(tmp_path: Path) -> None:
    samples.fill(tmp_path / "store")
    with pytest.raises(UsageError):
        render(tmp_path / "store", "other", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_torch_is_not_imported() -> None:
    code = "import sys, fragility.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
