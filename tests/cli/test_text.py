from datetime import datetime

import pytest

from fragility.cli import text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (725, "12 min 5 s"),
        (3600, "1 h 0 min"),
        (97_200, "27 h 0 min"),
    ],
)
def test_durations_keep_two_units(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(12, "12 B"), (900_000_000, "0.9 GB"), (14_200_000, "14 MB"), (2_500, "2.5 kB")],
)
def test_sizes_are_decimal(count: int, words: str) -> None:
    assert text.size(count) == words


def test_plurals() -> None:
    assert [text.plural(1, "cell"), text.plural(2, "batch"), text.plural(3, "study")] == [
        "1 cell",
        "2 batches",
        "3 studies",
    ]


def test_tables_align_and_stay_on_one_line_a_row() -> None:
    rows = [("a\nb", 1, 0.5), ("long name", 1200, None)]
    assert text.table(["name", "n", "value"], rows, indent="  ").splitlines() == [
        "  name          n  value",
        "  a b           1    0.5",
        "  long name  1200   null",
    ]


def test_an_empty_table_is_its_header() -> None:
    assert text.table(["a", "b"], []) == "a  b"


def test_times_are_plain() -> None:
    assert text.cell(datetime(2026, 1, 5, 14, 3, 0, 250)) == "2026-01-05 14:03:00"
