from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from fragility.report.context import Context
from fragility.report.page import page
from fragility.report.parts import Section
from tests.report import world


@pytest.fixture(scope="session")
def quickstart() -> str:
    return page(world.quickstart().connection(), world.RUN)


@pytest.fixture(scope="session")
def depths() -> str:
    return page(world.depths(4).connection(), world.RUN)


PageOf = Callable[..., str]


@pytest.fixture
def page_of(monkeypatch: pytest.MonkeyPatch) -> PageOf:
    """A page of some sections alone: drawing all the others takes seconds."""

    def made(connection: duckdb.DuckDBPyConnection, *sections: Callable[[Context], Section]) -> str:
        monkeypatch.setattr("fragility.report.page.SECTIONS", sections)
        return page(connection, world.RUN)

    return made
