"""The page of threats names keys, headings, tables and queries that there are."""

import re
from pathlib import Path

import pytest

from fragility.datasets import DATASETS
from fragility.errors import FragilityError
from fragility.estimators import ESTIMATORS
from fragility.method import Room
from fragility.models import MODELS
from fragility.procedures import PROCEDURES
from fragility.regularizers import REGULARIZERS
from fragility.store import queries
from fragility.study.model import Study
from fragility.training import TRAINING
from tests.store import samples

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "threats.md").read_text()
ROOMS: dict[str, Room] = {
    "datasets": DATASETS,
    "models": MODELS,
    "regularization": REGULARIZERS,
    "training": TRAINING,
    "estimators": ESTIMATORS,
    "procedures": PROCEDURES,
}
TABLES = TEXT[: TEXT.index("## Queries")]
ROWS = re.findall(r"^\| ([A-E]\d+) \|(.*)\|$", TABLES, re.MULTILINE)
KEYS = sorted(set(re.findall(rf"`((?:{'|'.join(ROOMS)})\.\w+(?:\.\w+)*)`", TABLES)))
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


def test_every_threat_has_what_moves_it_and_what_shows_it() -> None:
    counts = {"A": 11, "B": 9, "C": 12, "D": 10, "E": 11}
    expected = [f"{group}{i + 1}" for group, n in counts.items() for i in range(n)]
    assert [name for name, _ in ROWS] == expected
    for _, row in ROWS:
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) == 3
        assert all(cell.strip() for cell in cells)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_one_of_a_study(key: str) -> None:
    room, kind, *fields = key.split(".")
    method = ROOMS[room].methods[kind]
    assert [field for field in fields if field not in method.model_fields] == []
    assert len(fields) <= 1


def test_no_word_in_code_is_made_up() -> None:
    """Kinds, fields, columns, values: each is a word of the package."""
    words = {word for word in re.findall(r"`(\w+)`", TABLES) if "_" in word}
    known = set(Study.model_fields)
    for found in (ROOT / "fragility").rglob("*.py"):
        known |= set(re.findall(r"\w+", found.read_text()))
    assert words - known == set()


def test_every_heading_is_one_of_the_report() -> None:
    report = [
        *(ROOT / "fragility" / "report" / "sections").glob("*.py"),
        *(ROOT / "templates" / "report").glob("*.html"),
    ]
    source = "\n".join(path.read_text() for path in report)
    headings = set(re.findall(r"(?<!\*)\*([^*|]+)\*(?!\*)", TABLES))
    assert len(headings) > 10
    missing = {h for h in headings if f'"{h}"' not in source and f"<h3>{h}" not in source}
    assert missing == set()


def test_every_query_that_is_referred_to_stands_below() -> None:
    assert {*re.findall(r"\bQ\d\b", TABLES)} == {*re.findall(r"\*\*(Q\d)\*\*", TEXT)}
    assert len(QUERIES) == 7


@pytest.mark.parametrize("sql", QUERIES)
def test_every_query_runs(sql: str, tmp_path: Path) -> None:
    samples.fill(tmp_path)
    try:
        queries.query(tmp_path, sql)
    except FragilityError as error:
        pytest.fail(str(error))
