from __future__ import annotations

import errno
import os
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fragility.errors import StoreDamagedError, StoreError
from fragility.store.columns import normalize
from fragility.store.log import BatchRecord, TaskResult, read_arrays, read_record, write_record
from tests.store import samples

NAMES = st.text(string.ascii_lowercase + "_/é", min_size=1, max_size=8)
STORABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def records(draw: st.DrawFn) -> BatchRecord:
    count = draw(st.integers(1, 4))
    tasks = tuple(
        TaskResult(
            f"t{index}",
            draw(st.sampled_from(["train", "retrain"])),
            draw(st.sampled_from(["ok", "failed"])),
            draw(st.none() | STORABLE),
            draw(st.floats(0, 1e9)),
        )
        for index in range(count)
    )
    tables = {}
    for name in draw(st.sets(st.sampled_from(["first", "second"]))):
        length = draw(st.integers(0, 6))
        columns: dict[str, Any] = {
            "task": draw(st.lists(st.integers(0, count - 1), min_size=length, max_size=length))
        }
        for column in draw(st.sets(st.sampled_from("abcd"))):
            columns[column] = draw(
                arrays.arrays(st.sampled_from(["f8", "f4", "i8", "i4", "?"]), length)
                | st.lists(st.none() | STORABLE, min_size=length, max_size=length)
            )
        tables[name] = columns
    raw = draw(
        st.dictionaries(
            NAMES,
            arrays.arrays(
                st.sampled_from(["f8", "f4", "i8", "?"]),
                st.tuples(st.just(count), st.integers(0, 3), st.integers(1, 2)),
            ),
            max_size=3,
        )
    )
    strided = {name: np.swapaxes(array, 1, 2) for name, array in raw.items()}
    return BatchRecord("batch", samples.DAY.format(3), tasks, tables, strided)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records())
def test_what_is_written_is_read(tmp_path: Path, written: BatchRecord) -> None:
    path = write_record(tmp_path, written)
    read = read_record(path)
    assert (read.batch_id, read.finished, read.tasks) == (
        written.batch_id,
        written.finished,
        written.tasks,
    )
    assert read.tables.keys() == written.tables.keys()
    for name, columns in written.tables.items():
        assert read.tables[name].keys() == columns.keys()
        for column, values in columns.items():
            _same(read.tables[name][column], normalize(values), exact=column != "task")
    assert read.arrays.keys() == written.arrays.keys()
    for name, array in written.arrays.items():
        _same(read.arrays[name], array)
        for position in range(len(written.tasks)):
            _same(read_arrays(path, position, (name,))[name], array[position])


def _same(read: Any, written: Any, exact: bool = True) -> None:
    np.testing.assert_array_equal(read, written)
    if exact and written.size:
        assert read.dtype == written.dtype


def test_long_texts_stand_apart_from_the_header(tmp_path: Path) -> None:
    def saved(pictures: list[str | None]) -> tuple[Path, list[str | None]]:
        columns: Any = {"task": np.zeros(3, int), "picture": pictures, "name": ["é", "b", "é"]}
        tasks = (TaskResult("t", "train", "ok", None, 1.0),)
        record = BatchRecord("batch", samples.DAY.format(3), tasks, {"facts": columns})
        path = write_record(tmp_path, record)
        found = read_record(path).tables["facts"]
        assert found["name"].tolist() == ["é", "b", "é"]
        return path, found["picture"].tolist()

    long = ["x" * 70_000, None, "é" * 10]
    path, found = saved(long)
    assert found == long
    assert int.from_bytes(path.read_bytes()[:8], "little") < 2_000
    assert b'\\"format\\": 2' in path.read_bytes()
    path, found = saved(["x", None, "y"])
    assert found == ["x", None, "y"]
    assert b'\\"format\\": 1' in path.read_bytes()


def test_a_batch_that_is_finished_again_gets_another_file(tmp_path: Path) -> None:
    paths = [write_record(tmp_path, samples.record("b", ["t"])) for _ in range(3)]
    assert [path.name for path in paths] == [
        "b.safetensors",
        "b.1.safetensors",
        "b.2.safetensors",
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: data[:40],
        lambda data: data[:4],
        lambda data: b"",
        lambda data: b"garbage" * 100,
        lambda data: data + b"more",
        lambda data: data.replace(b"__metadata__", b"__metaxxxx__"),
        lambda data: data.replace(b"2026-01-01", b"2026-99-99"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, damage: Any) -> None:
    path = write_record(tmp_path, samples.batches()[0])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreDamagedError, match=r"b-train\.safetensors` is damaged") as caught:
        read_record(path)
    assert caught.value.exit_code == 3
    assert "Delete this file and run the study again" in str(caught.value)


def test_a_newer_format_is_not_called_damaged(tmp_path: Path) -> None:
    path = write_record(tmp_path, samples.batches()[0])
    path.write_bytes(path.read_bytes().replace(rb"\"format\": 1", rb"\"format\": 9"))
    with pytest.raises(StoreError, match="newer version") as caught:
        read_record(path)
    assert not isinstance(caught.value, StoreDamagedError)


@pytest.mark.parametrize("call", ["fsync", "write", "replace"])
def test_a_full_disk_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match=r"b-train\.safetensors` cannot be written: No space left"):
        write_record(tmp_path, samples.batches()[0])
    monkeypatch.undo()
    assert list((tmp_path / "log").iterdir()) == []


@pytest.mark.parametrize(
    ("tables", "raw", "message"),
    [
        ({"score_facts": {"task": [0, 2]}}, {}, "rows of tasks"),
        ({"score_facts": {"task": [-1]}}, {}, "rows of tasks"),
        ({"score_facts": {"task": [0], "score": [1.0, 2.0]}}, {}, "unequal lengths"),
        ({"score_facts": {"score": [1.0]}}, {}, "integer column `task`"),
        ({}, {"losses": np.zeros(3)}, "must have 2 rows"),
        ({}, {"losses": np.float64(3.0)}, "must have 2 rows"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(
    tmp_path: Path, tables: Any, raw: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_record(tmp_path, samples.record("b", ["t0", "t1"], tables, arrays=raw))
    assert not (tmp_path / "log").exists()


def test_missing_numbers_become_nan_and_undecodable_text_storable(tmp_path: Path) -> None:
    tables = {"x": {"task": [0, 0], "n": [1, None], "flag": [None, True], "text": ["\udc80", None]}}
    tasks = (TaskResult("t", "train", "failed", "file \udc80", 0.0),)
    path = write_record(tmp_path, BatchRecord("b", samples.DAY.format(1), tasks, tables))
    read = read_record(path)
    np.testing.assert_array_equal(read.tables["x"]["n"], [1.0, np.nan])
    np.testing.assert_array_equal(read.tables["x"]["flag"], [np.nan, 1.0])
    assert list(read.tables["x"]["text"]) == ["?", None]
    assert read.tasks[0].message == "file ?"


def test_columns_of_mixed_types_are_refused() -> None:
    with pytest.raises(TypeError, match="numbers or text"):
        normalize([1, "a"])
