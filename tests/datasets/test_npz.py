"""Arrays in a numpy file: images, features, classes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fragility.datasets import DATASETS, Data, Dataset, Facts, facts
from fragility.errors import DataError
from fragility.plan.catalog import Catalog
from tests.datasets.images import colour, gray, labels

pytestmark = pytest.mark.usefixtures("alone")


def arrays(**changed: Any) -> dict[str, Any]:
    whole = {
        "x_train": gray("train"),
        "y_train": labels("train"),
        "x_test": gray("test"),
        "y_test": labels("test"),
    }
    return {**whole, **changed}


def npz(**fields: Any) -> Dataset:
    return DATASETS.methods["npz"].model_validate({"kind": "npz", "path": "a.npz", **fields})


def load(folder: Path, stored: dict[str, Any], **fields: Any) -> Data:
    np.savez_compressed(folder / "a.npz", **stored)
    data = npz(**fields).load(0, folder)
    assert Catalog(folder).facts(npz(**fields), 0) == facts(data)
    return data


def test_gray_images_get_a_channel(tmp_path: Path) -> None:
    data = load(tmp_path, arrays(), pad=2)
    assert facts(data) == Facts(60, 20, (1, 32, 32), 10, "classification")
    expected = np.pad(gray("train") / np.float32(255), [(0, 0), (2, 2), (2, 2)])
    np.testing.assert_array_equal(data.train.inputs[:, 0], expected)
    assert data.train.inputs.dtype == np.float32


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_channels_stand_first_or_last(tmp_path: Path, axes: tuple[int, ...]) -> None:
    parts = {f"x_{part}": colour(part).transpose(axes) for part in ("train", "test")}
    data = load(tmp_path, arrays(**parts))
    np.testing.assert_array_equal(data.test.inputs, colour("test") / np.float32(255))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_decimal_numbers_stay_as_they_are(tmp_path: Path, dtype: type) -> None:
    generator = np.random.default_rng(0)
    parts = {"x_train": generator.normal(size=(60, 7)), "x_test": generator.normal(size=(20, 7))}
    stored = {name: values.astype(dtype) for name, values in parts.items()}
    data = load(tmp_path, arrays(**stored))
    np.testing.assert_array_equal(data.train.inputs, stored["x_train"])
    assert data.train.inputs.dtype == (np.float64 if dtype is np.float64 else np.float32)


def test_decimal_images_can_be_padded(tmp_path: Path) -> None:
    parts = {f"x_{part}": colour(part) / 7.0 for part in ("train", "test")}
    data = load(tmp_path, arrays(**parts), pad=1)
    np.testing.assert_array_equal(data.test.inputs[:, :, 1:-1, 1:-1], parts["x_test"])
    assert data.test.inputs.shape == (20, 3, 34, 34)
    assert data.test.inputs[:, :, 0].max() == 0


@pytest.mark.parametrize(
    ("of", "classes"),
    [
        (lambda y: y + 5, tuple(str(number) for number in range(5, 15))),
        (lambda y: y[:, None].astype(np.uint8), tuple("0123456789")),
        (lambda y: np.array([f"c{9 - k}" for k in y]), tuple(f"c{k}" for k in range(10))),
        (lambda y: y > 4, ("False", "True")),
    ],
)
def test_classes_are_those_of_the_training_set(tmp_path: Path, of: Any, classes: Any) -> None:
    data = load(tmp_path, arrays(y_train=of(labels("train")), y_test=of(labels("test"))))
    assert data.classes == classes
    told = np.array(data.classes)[data.test.targets.astype(np.int64)]
    assert list(told) == [str(label) for label in of(labels("test")).ravel()]


def test_content_names_the_data_not_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    here = Catalog(tmp_path)
    assert here.data_id(npz(), 0) == here.data_id(npz(path="b.npz"), 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y_train": labels("train")[1:]}, "60 examples in `x_train` and 59"),
        ({"x_test": gray("test")[:, :20]}, "of shape"),
        ({"x_test": gray("test") / 255}, "float64"),
        ({"y_test": labels("test") + 1}, "`y_test` has classes that .*: `10`"),
        ({"y_test": labels("test") / 1}, "not classes"),
        ({"x_train": labels("train")}, "`x_train` holds int64"),
        ({"x_train": gray("train").reshape(60, -1)}, "not that of images"),
        ({"x_train": np.full((60, 3), np.nan)}, "not finite"),
        ({"y_train": np.array([{"a": 1}] * 60)}, "cannot be read as a numpy file"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, arrays(**changed))
    assert caught.value.hint


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    stored = arrays()
    del stored["x_test"]
    with pytest.raises(DataError, match=r"no array `x_test`. Its arrays: `x_train`, `y_train`"):
        load(tmp_path, stored)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a numpy file"):
        npz().load(0, tmp_path)
    np.save(tmp_path / "b.npy", gray("test"))
    (tmp_path / "a.npz").write_bytes((tmp_path / "b.npy").read_bytes())
    with pytest.raises(DataError, match="one array without a name"):
        npz().load(0, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resize": 8}, "`resize` is for pixels"),
        ({"normalize": "train"}, "`normalize` is for pixels"),
        ({"pad": 2}, "`pad` is for images"),
    ],
)
def test_features_are_no_images(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    parts = {"x_train": np.zeros((60, 3)), "x_test": np.zeros((20, 3))}
    with pytest.raises(DataError, match=message):
        load(tmp_path, arrays(**parts), **fields)
