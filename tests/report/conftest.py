from __future__ import annotations

import pytest

from fragility.report.page import page
from tests.report import world


@pytest.fixture(scope="session")
def quickstart() -> str:
    return page(world.quickstart().connection(), world.RUN)


@pytest.fixture(scope="session")
def depths() -> str:
    return page(world.depths(4).connection(), world.RUN)
