"""What examples look like, held against the files' own pixels and scikit-learn's rows."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_iris

from fragility.datasets._appearance import Appearance, appearances, png
from fragility.datasets.base import DATASETS, Data
from tests.datasets.images import colour, gray

POINTS = np.array([7, 0, 3, 7])


def decoded(picture: str | None) -> NDArray[np.uint8]:
    """The pixels (channels, height, width) of a picture."""
    assert picture is not None
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert image.format == "PNG"
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def shown(part: Any, points: NDArray[np.int64] = POINTS, **fields: Any) -> tuple[Data, list[Any]]:
    dataset = DATASETS.methods[fields["kind"]].model_validate(fields)
    data = dataset.load(0, Path())
    return data, appearances(dataset, data, part, points, 0, Path())


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    "fields",
    [
        {"normalize": {"mean": 0.13, "std": 0.31}, "pad": 2},
        {"normalize": "train", "resize": 14},
        {"subset": {"train": 30, "test": 9}},
    ],
)
@pytest.mark.usefixtures("alone", "root")
def test_pictures_are_the_pixels_of_the_file(part: str, fields: dict[str, Any]) -> None:
    data, looks = shown(part, kind="mnist", **fields)
    rows = (data.train if part == "train" else data.test).rows[POINTS]
    for look, stored in zip(looks, gray(part)[rows], strict=True):
        np.testing.assert_array_equal(decoded(look.picture), stored[None])
        assert (look.features, look.file) == (None, None)


@pytest.mark.usefixtures("alone")
def test_an_image_of_its_own_file_is_named(root: Path) -> None:
    fields = {"path": "photographs", "normalize": "train"}
    _, looks = shown("test", kind="image_folder", **fields)
    for look in looks:
        stored = np.asarray(Image.open(root / "photographs" / look.file))
        np.testing.assert_array_equal(decoded(look.picture).transpose(1, 2, 0), stored)


def test_large_pictures_are_shrunk_and_small_ones_left() -> None:
    wide = np.full((3, 100, 200), 77, dtype=np.uint8)
    assert (decoded(png(wide)) == 77).all()
    assert decoded(png(wide)).shape == (3, 32, 64)
    small = colour("train")[0]
    np.testing.assert_array_equal(decoded(png(small)), small)


def test_columns_that_are_pixels_become_a_picture() -> None:
    data, looks = shown("train", kind="digits", standardize="train")
    images = load_digits().images
    for look, row in zip(looks, data.train.rows[POINTS], strict=True):
        np.testing.assert_allclose(decoded(look.picture)[0], 255 * images[row] / 16, atol=0.5)


@pytest.mark.parametrize("standardize", ["none", "train"])
def test_columns_are_those_of_the_source(standardize: str) -> None:
    data, looks = shown("test", kind="iris", standardize=standardize)
    iris = load_iris()
    for look, row in zip(looks, data.test.rows[POINTS], strict=True):
        assert json.loads(look.features) == dict(
            zip(iris.feature_names, iris.data[row], strict=True)
        )
        assert look.picture is None


def test_a_test_file_has_rows_of_its_own(tmp_path: Path) -> None:
    lines = {"a": range(10), "b": range(100, 110)}
    for name, values in lines.items():
        rows = [f"{v},{v % 2},{-v}" for v in values]
        (tmp_path / f"{name}.csv").write_text("\n".join(["long,y,w", *rows]))
    files = {"path": str(tmp_path / "a.csv"), "test_path": str(tmp_path / "b.csv")}
    _, looks = shown(
        "test", kind="csv", label="y", task="classification", standardize="all", **files
    )
    assert [json.loads(look.features) for look in looks] == [
        {"long": 100 + point, "w": -100 - point} for point in POINTS
    ]


def test_only_the_first_columns_are_kept() -> None:
    _, looks = shown("train", kind="synthetic", n=40, n_features=20)
    assert list(json.loads(looks[0].features)) == [f"x{column}" for column in range(12)]


def test_decimal_images_are_drawn_over_the_range_of_the_training_set(tmp_path: Path) -> None:
    values = np.zeros((10, 1, 2, 2))
    values[:, 0, 0, 0], values[:, 0, 1, 1] = -3.0, 1.0
    marks = np.arange(10) % 2
    np.savez(tmp_path / "f.npz", x_train=values, y_train=marks, x_test=values, y_test=marks)
    _, looks = shown("test", kind="npz", path=str(tmp_path / "f.npz"))
    assert decoded(looks[0].picture).tolist() == [[[0, 191], [191, 255]]]


def test_appearance_of_a_vector_without_names(tmp_path: Path) -> None:
    values, marks = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    np.savez(tmp_path / "f.npz", x_train=values, y_train=marks, x_test=values, y_test=marks)
    _, looks = shown("train", kind="npz", path=str(tmp_path / "f.npz"))
    assert looks[1] == Appearance(None, '{"x0": 0.0, "x1": 1.0}', None)
