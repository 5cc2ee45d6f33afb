"""Examples that are too many for memory: the same numbers, from a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fragility.errors import DataError
from fragility.numerics import paged
from fragility.numerics.paged import converted, paged_zeros, resident_limit
from tests.tiny import TINY, changed, everything, run


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with very little memory."""
    monkeypatch.setattr(paged, "resident_limit", lambda: 100)


def test_small_arrays_are_held_in_memory() -> None:
    assert not isinstance(paged_zeros((3, 4), np.float32), np.memmap)
    value = torch.ones(3)
    assert converted(value, torch.float32) is value


def test_large_ones_are_zeros_in_a_file_without_a_name(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = paged_zeros((30, 4), np.float64)
    assert isinstance(array, np.memmap)
    assert (array.shape, array.dtype, float(abs(array).max())) == ((30, 4), np.float64, 0.0)
    assert list(tmp_path.iterdir()) == []
    array[7] = 3
    tensor = torch.from_numpy(array)
    tensor[8] = 4
    assert float(array.sum()) == 28


def test_conversion_is_torch_s(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "ROWS", 7)
    value = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float64, torch.float32):
        found = converted(value, dtype)
        assert found.dtype == dtype
        assert torch.equal(found, value.to(dtype))
    assert torch.equal(converted(value.double(), torch.float32), value)


def test_the_limit_is_half_of_what_a_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for written, memory in (("1000000\n", 10**6), ("max\n", machine), (None, machine)):
        file = tmp_path / f"{memory}-{written is None}"
        if written is not None:
            file.write_text(written)
        monkeypatch.setattr(paged, "_CONTAINER", file)
        resident_limit.cache_clear()
        assert resident_limit() == memory // 2
    resident_limit.cache_clear()


def test_a_full_disk_is_told(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left on device. .*TMPDIR"):
        paged_zeros((10**6, 5), np.float32)


def test_a_study_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(30) % 2
    x = (generator.integers(0, 100, size=(30, 1, 6, 6)) + 100 * y[:, None, None, None]).astype("u1")
    np.savez(tmp_path / "a.npz", x_train=x[:24], y_train=y[:24], x_test=x[24:], y_test=y[24:])
    data = {"kind": "npz", "path": str(tmp_path / "a.npz"), "normalize": "train"}
    # Training in float32 and scores in float64: both sorts of arrays.
    study = changed(TINY, {"datasets": {"images": data}, "training.adam.dtype": "float32"})
    run(study, tmp_path / "held")
    made: list[int] = []
    monkeypatch.setattr(paged, "resident_limit", lambda: made.append(1) or 0)  # type: ignore[func-returns-value]
    run(study, tmp_path / "paged")
    assert made
    assert everything(tmp_path / "paged") == everything(tmp_path / "held")
