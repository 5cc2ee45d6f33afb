from __future__ import annotations

import pytest

from fragility.store import Store
from fragility.store.database import database_path, open_database
from fragility.store.documentation import markdown
from fragility.store.glossary import GLOSSARY
from fragility.store.queries import PUBLIC
from fragility.store.schema import TABLES
from fragility.store.views import VIEWS

DOCUMENTED = {table.name: table for table in (*TABLES, *(view.table for view in VIEWS))}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """Name and type of every column of every table and view in an empty database."""
    root = tmp_path_factory.mktemp("store")
    Store.open(root, write=True).close()
    with open_database(database_path(root), read_only=True, wait=1.0) as connection:
        names = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
        return {
            name: [row[:2] for row in connection.execute(f'DESCRIBE "{name}"').fetchall()]
            for name in names
        }


def test_every_table_is_documented(described: dict[str, list[tuple[str, str]]]) -> None:
    assert described.keys() == DOCUMENTED.keys()


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_the_documentation_says_what_is_there(
    described: dict[str, list[tuple[str, str]]], name: str
) -> None:
    assert described[name] == [(column.name, column.type) for column in DOCUMENTED[name].columns]


def test_every_description_is_one_sentence() -> None:
    docs = [table.doc for table in DOCUMENTED.values()]
    docs += [column.doc for table in DOCUMENTED.values() for column in table.columns]
    assert [doc for doc in docs if not doc.endswith(".") or ". " in doc] == []


def test_no_word_of_the_glossary_is_idle() -> None:
    used = {column.name for table in DOCUMENTED.values() for column in table.columns}
    assert used == GLOSSARY.keys()


def test_the_page_has_every_table_once() -> None:
    page = markdown()
    for name in DOCUMENTED:
        assert page.count(f"\n## {name}\n") == 1
    assert page.index("## agreements") < page.index("# Behind them") < page.index("## score_facts")
    assert {"runs", "cells", "effects"} <= {table.name for table in PUBLIC}


def test_the_contract_is_kept(described: dict[str, list[tuple[str, str]]]) -> None:
    promised = {
        "cells": "cell_id study dataset model regularization training repeat seed factors",
        "trainings": "task_id cell_id role procedure replicate removed steps converged grad_norm"
        " train_loss train_accuracy test_loss test_accuracy seconds artifact",
        "points": "cell_id procedure split point role value",
        "scores": "cell_id estimator test_point train_point group_id score",
        "groups": "group_id train_point",
        "effects": "cell_id procedure replicate removal test_point train_point group_id before"
        " after effect",
        "agreements": "cell_id estimator procedure test_point metric value ci_low ci_high chance"
        " ceiling n",
        "diagnostics": "cell_id task_id name value",
    }
    for name, columns in promised.items():
        assert set(columns.split()) <= {column for column, _ in described[name]}
