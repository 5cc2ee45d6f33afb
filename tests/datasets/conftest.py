"""Where the tests of images find their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.datasets import _known
from tests.datasets.images import write_batches, write_folder, write_idx


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data, cache or working directory but the test's own; files count as settled."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FRAGILITY_DATA", raising=False)
    monkeypatch.setattr(_known, "SETTLED", -(10**12))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all the made-up files, named by FRAGILITY_DATA."""
    where = tmp_path / "root"
    write_idx(where)
    write_idx(where, "FashionMNIST")
    write_batches(where)
    write_folder(where / "photographs")
    monkeypatch.setenv("FRAGILITY_DATA", str(where))
    return where
