"""The page of estimators is what the classes say."""

from pathlib import Path

from fragility.estimators import ESTIMATORS
from fragility.study.documentation import BEGIN, END, estimator_table, refreshed

PAGE = Path(__file__).parents[2] / "docs" / "estimators.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == refreshed(PAGE.read_text()), "run `make docs`"


def test_every_estimator_has_a_row_of_five_cells() -> None:
    _, _, *rows = estimator_table().splitlines()
    assert [row.split("`")[1] for row in rows] == list(ESTIMATORS.methods)
    for row in rows:
        cells = row.replace("\\|", "").strip("|").split("|")
        assert len(cells) == 5
        assert all(cell.strip() for cell in cells)


def test_only_what_is_between_the_marks_is_written() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert refreshed(page) == f"before\n{BEGIN}\n\n{estimator_table()}\n{END}\nafter\n"
    assert refreshed(refreshed(page)) == refreshed(page)
