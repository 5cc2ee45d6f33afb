"""Files: values, order, digests, and a message for everything that can be wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from pydantic import ValidationError

from fragility.datasets import DATASETS, Dataset, facts
from fragility.datasets._columns import read_table
from fragility.errors import DataError

TABLE = """width,height,name,sort
1.5,10,a,red
2,20,b,blue
3,30,c,red
4,40,d,blue
5,50,e,green
6,60,f,green
"""
PLAIN = {"path": "t.csv", "label": "sort", "features": ["width", "height"], "hold_out": [0]}


def dataset(kind: str = "csv", **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, "task": "classification", **fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


def refused(folder: Path, **fields: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        dataset(**{**PLAIN, **fields}).load(0, folder)
    assert caught.value.hint
    return caught.value


def test_values_come_as_written(folder: Path) -> None:
    data = dataset(**PLAIN).load(0, folder)
    assert data.classes == ("blue", "green", "red")
    assert data.features == ("width", "height")
    np.testing.assert_array_equal(data.test.inputs, [[1.5, 10]])
    np.testing.assert_array_equal(data.train.inputs[:, 0], [2, 3, 4, 5, 6])
    assert list(data.train.targets) == [0, 2, 0, 1, 1]
    assert list(data.train.rows) == [1, 2, 3, 4, 5]


def test_parquet_holds_the_same(folder: Path) -> None:
    duckdb.sql(f"COPY (FROM read_csv('{folder}/t.csv')) TO '{folder}/t.parquet'")
    csv = dataset(**PLAIN).load(0, folder)
    parquet = dataset("parquet", **{**PLAIN, "path": "t.parquet"}).load(0, folder)
    np.testing.assert_array_equal(csv.train.inputs, parquet.train.inputs)
    np.testing.assert_array_equal(csv.train.targets, parquet.train.targets)


def test_regression_and_all_other_columns(folder: Path) -> None:
    (folder / "r.csv").write_text("y;a;b\n1;2;3\n4;5;6\n7;8;9.5\n")
    spec = dataset(path="r.csv", label="y", task="regression", test_fraction=0.3)
    data = spec.load(0, folder)
    assert data.features == ("a", "b")
    assert facts(data).outputs == 1
    assert sorted(np.concatenate([data.train.targets, data.test.targets]).ravel()) == [1, 4, 7]


def test_a_test_file_counts_its_own_rows(folder: Path) -> None:
    (folder / "u.csv").write_text("sort,height,width\nred,7,8\n")
    fields = {**PLAIN, "hold_out": None, "test_path": "u.csv"}
    data = dataset(**fields).load(0, folder)
    assert len(data.train) == 6
    assert list(data.test.rows) == [0]
    np.testing.assert_array_equal(data.test.inputs, [[8, 7]])
    assert data.classes[int(data.test.targets[0])] == "red"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "10", "9"], ("9", "10")),
        (["1.0", "0.0", "1.0", "0.0"], ("0", "1")),
        (["true", "false", "true", "false"], ("false", "true")),
        (["b", "a", "b", "a"], ("a", "b")),
    ],
)
def test_classes_are_sorted(folder: Path, labels: list[str], classes: tuple[str, ...]) -> None:
    (folder / "l.csv").write_text("x,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(labels)))
    data = dataset(path="l.csv", label="y", hold_out=[0]).load(0, folder)
    assert data.classes == classes
    assert list(data.train.targets) == [0, 1, 0]


def test_large_files_keep_their_order(tmp_path: Path) -> None:
    rows = 30_000
    (tmp_path / "big.csv").write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(rows)))
    data = dataset(path="big.csv", label="y", test_fraction=0.5).load(0, tmp_path)
    np.testing.assert_array_equal(data.train.inputs[:, 0], data.train.rows)
    np.testing.assert_array_equal(data.train.targets, data.train.rows % 3)


def test_the_content_decides_not_the_place(folder: Path) -> None:
    (folder / "deep").mkdir()
    shutil.copy(folder / "t.csv", folder / "deep" / "copy.csv")
    here, there = dataset(**PLAIN), dataset(**{**PLAIN, "path": str(folder / "deep/copy.csv")})
    assert here.identity() == there.identity()
    assert here.source_digest(folder) == there.source_digest(Path("elsewhere"))
    (folder / "t.csv").write_text(TABLE.replace("60", "61"))
    assert here.source_digest(folder) != there.source_digest(folder)


def test_a_test_file_is_part_of_the_identity(folder: Path) -> None:
    shutil.copy(folder / "t.csv", folder / "u.csv")
    split = dataset(**{**PLAIN, "hold_out": None, "test_fraction": 0.5})
    given = dataset(**{**PLAIN, "hold_out": None, "test_path": "u.csv"})
    assert split.identity() != given.identity()
    first, second = given.source_digest(folder).split()
    assert first == second == split.source_digest(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hold_out": None}, "no test set: give `test_fraction`"),
        ({"test_path": "u.csv"}, "keep one of `hold_out`, `test_path`"),
        (
            {"hold_out": None, "test_path": "u.csv", "test_fraction": 0.2},
            "keep one of `test_fraction`, `test_path`",
        ),
        ({"features": ["width", "sort"]}, "`sort` is both the label and a feature"),
        ({"features": ["width", "width"]}, "names a column twice"),
        ({"features": []}, "at least 1 item"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        dataset(**{**PLAIN, **fields})


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"path": "tt.csv"}, "tt.csv. Did you mean `t.csv`?", "study's folder"),
        ({"path": "no/t.csv"}, "there is no folder", "study's folder"),
        ({"path": "."}, "is a folder", "Name the file"),
        ({"path": "*.csv"}, "is a pattern", "one of"),
        ({"path": "https://example.org/t.csv"}, "is an address", "Download"),
        ({"path": "s3://bucket/t.csv"}, "is an address", "Download"),
        ({"label": "sorte"}, "no column `sorte` (label). Did you mean `sort`?", "width, height"),
        ({"features": ["weight"]}, "no column `weight` (feature)", "Its columns"),
        (
            {"features": None},
            "feature `name` holds text (such as `a`)",
            "leave it out of `features`",
        ),
        ({"features": ["name"]}, "not numbers", "numeric columns"),
        ({"label": "name", "task": "regression"}, "label `name` holds text", "numeric"),
    ],
)
def test_wrong_names_say_what_to_do(
    folder: Path, fields: dict[str, Any], message: str, hint: str
) -> None:
    error = refused(folder, **fields)
    assert message in error.message
    assert hint in str(error.hint).replace("any of", "one of")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            TABLE + "7,,g,red\n",
            "feature `height` is missing or not finite in 1 row of 7",
            "Fill in",
        ),
        (TABLE + "7,,g,red\n8,,h,red\n", "in 2 rows of 8 (the first is row 6", "Fill in"),
        (TABLE + "inf,3,g,red\n", "feature `width` is missing or not finite in 1 row", "Fill in"),
        (TABLE + "7,3,g,\n", "label `sort` is missing", "Fill in"),
        (TABLE.replace("40", "x"), "feature `height` holds text (such as `10`)", "numeric"),
        ("width,height,sort\n1,2020-01-01,a\n2,2020-01-02,b\n", "holds dates or nested", "numeric"),
        ("width,height,name,sort\n", "has no rows", "below its column names"),
        ("sort\nred\nblue\n", "no column `width`", "Its columns: sort"),
        (
            TABLE.replace("blue", "red").replace("green", "red"),
            "one class only: `red`",
            "two or more",
        ),
    ],
)
def test_wrong_content_says_what_to_do(folder: Path, text: str, message: str, hint: str) -> None:
    (folder / "t.csv").write_text(text)
    error = refused(folder)
    assert message in error.message
    assert hint in str(error.hint)


def test_true_and_false_are_no_feature(folder: Path) -> None:
    (folder / "b.csv").write_text("x,y\ntrue,1\nfalse,0\ntrue,1\n")
    error = refused(folder, path="b.csv", label="y", features=["x"])
    assert "feature `x` holds true/false" in error.message


def test_decimal_labels_are_regression(folder: Path) -> None:
    error = refused(folder, label="width", features=["height"])
    assert "label `width` holds decimal numbers" in error.message
    assert "task: regression" in str(error.hint)


def test_dates_are_no_label(folder: Path) -> None:
    (folder / "d.csv").write_text("x,y\n1,2020-01-01\n2,2020-01-02\n")
    error = refused(folder, path="d.csv", label="y", features=["x"])
    assert "holds neither text nor numbers (such as `2020-01-01`)" in error.message


def test_a_lone_label_column(folder: Path) -> None:
    (folder / "s.csv").write_text("sort\nred\nblue\n")
    error = refused(folder, path="s.csv", features=None)
    assert "no column beside the label" in error.message


def test_classes_only_in_the_test_file(folder: Path) -> None:
    (folder / "u.csv").write_text("sort,height,width\npink,7,8\nred,1,1\n")
    error = refused(folder, hold_out=None, test_path="u.csv")
    assert "no training example has: `pink`" in error.message


def test_a_file_of_another_format(folder: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as parquet") as caught:
        dataset("parquet", **PLAIN).load(0, folder)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_told_in_one_line(folder: Path) -> None:
    (folder / "t.csv").write_bytes(TABLE.encode() + b"7,70,\xff,red\n")
    message = refused(folder).message
    assert "cannot be read as csv" in message
    assert "not utf-8" in message
    assert "\n" not in message


def test_quotes_in_names_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "it's; a folder"
    folder.mkdir()
    (folder / "o\"k'.csv").write_text('"a""b;","y"\n1,0\n2,1\n3,0\n')
    data = dataset(path="o\"k'.csv", label="y", hold_out=[0]).load(0, folder)
    assert data.features == ('a"b;',)


def test_a_folder_with_a_pattern_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    (folder / "t.csv").write_text(TABLE)
    assert "Rename the folder" in str(refused(folder).hint)


def test_hive_folders_add_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "year=2020"
    folder.mkdir()
    (folder / "t.csv").write_text(TABLE)
    assert list(read_table(folder / "t.csv", "csv").columns) == ["width", "height", "name", "sort"]


def test_the_connection_reads_nothing_else(folder: Path) -> None:
    (folder / "u.csv").write_text(TABLE)
    table = read_table(folder / "t.csv", "csv")
    with pytest.raises(duckdb.Error, match="disabled by configuration"):
        table.connection.execute(f"FROM read_csv('{folder}/u.csv')")
    with pytest.raises(duckdb.Error):
        table.connection.execute("SET enable_external_access = true")
