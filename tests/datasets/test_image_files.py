"""Where files of images are looked for, what names them, and what can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torchvision
from pydantic import ValidationError

from fragility.datasets import DATASETS, Dataset, _known, facts
from fragility.datasets._image_dataset import ImageDataset
from fragility.datasets._pixels import resized
from fragility.errors import DataError
from fragility.plan.catalog import Catalog
from tests.datasets.images import colour, gray, write_idx

pytestmark = pytest.mark.usefixtures("alone")


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose content is hashed."""
    found: list[Path] = []
    digest = _known.content_digest

    def noted(path: Path) -> str:
        found.append(path)
        return digest(path)

    monkeypatch.setattr(_known, "content_digest", noted)
    return found


# Where files are looked for


def test_the_first_folder_that_has_the_files_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study"
    spec = dataset("mnist", root="own")
    assert isinstance(spec, ImageDataset)
    monkeypatch.setenv("FRAGILITY_DATA", str(tmp_path / "named"))
    for folder in ("work/data", "named", "study/own"):
        write_idx(tmp_path / folder)
        assert spec.place(study) == tmp_path / folder
    assert dataset("mnist").place(study) == tmp_path / "named"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist", "cifar10"])
def test_missing_files_are_told_with_every_place(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAGILITY_DATA", str(tmp_path / "named"))
    with pytest.raises(DataError) as caught:
        dataset(kind, root="own").source_digest(tmp_path / "study")
    for place in ("study/own", "named", "work/data"):
        assert str(tmp_path / place) in caught.value.message
    for way in ("download: true", "--data", "FRAGILITY_DATA", "root"):
        assert way in str(caught.value.hint)


def test_a_folder_of_cifar_images_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    monkeypatch.setenv("FRAGILITY_DATA", str(tmp_path))
    with pytest.raises(DataError, match="`kind: image_folder` with `path: cifar10`"):
        dataset("cifar10").source_digest(tmp_path)


def test_a_path_is_looked_for_in_the_same_places(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        dataset("image_folder", path="photographs").source_digest(tmp_path / "study")
    assert str(tmp_path / "study" / "photographs") in caught.value.message
    assert str(tmp_path / "work" / "data" / "photographs") in caught.value.message
    missing = tmp_path / "nowhere.npz"
    with pytest.raises(DataError) as caught:
        dataset("npz", path=str(missing)).source_digest(tmp_path)
    assert caught.value.message.count(str(missing)) == 2  # as written, and once looked for


# Downloads, from a server on this machine


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that torchvision downloads MNIST from."""
    served = tmp_path / "served"
    write_idx(tmp_path / "made")
    served.mkdir()
    sums = []
    for file in sorted((tmp_path / "made/MNIST/raw").iterdir()):
        packed = gzip.compress(file.read_bytes())
        (served / f"{file.name}.gz").write_bytes(packed)
        sums.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        mirror = f"http://127.0.0.1:{listening.server_port}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [mirror])
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", sums)
        yield served
        listening.shutdown()
        thread.join()


def test_a_download_goes_to_the_first_place_and_is_read(
    server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dataset("mnist", root="own", download=True).load(0, tmp_path)
    np.testing.assert_array_equal(data.train.inputs[:, 0], gray("train") / np.float32(255))
    assert (tmp_path / "own/MNIST/raw/train-images-idx3-ubyte").is_file()
    assert capsys.readouterr().out == ""
    for file in server.iterdir():
        file.unlink()
    assert len(dataset("mnist", root="own", download=True).load(0, tmp_path).train) == 60


def test_a_download_with_another_checksum_is_refused(server: Path, tmp_path: Path) -> None:
    file = server / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[::-1]))
    with pytest.raises(DataError, match=r"could not be downloaded into .*corrupted"):
        dataset("mnist", root="own", download=True).load(0, tmp_path)


def test_without_a_network_every_place_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on port 1.
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:1/"])
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        dataset("mnist", root="own", download=True).source_digest(tmp_path)
    assert str(tmp_path / "own") in caught.value.message
    assert str(tmp_path / "work" / "data") in caught.value.message
    assert "copy the files" in str(caught.value.hint)


# What names the data


def test_content_names_the_data_not_its_place(root: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    os.rename(root / "MNIST", tmp_path / "moved" / "MNIST")
    moved = dataset("mnist", root=str(tmp_path / "moved"))
    write_idx(root)
    here = dataset("mnist", download=True)
    assert Catalog(root).data_id(moved, 0) == Catalog(root).data_id(here, 0)
    ids = {
        Catalog(root).data_id(dataset("mnist", **fields), 0)
        for fields in (
            {},
            {"normalize": "train"},
            {"normalize": {"mean": 0.0, "std": 1.0}},
            {"pad": 2},
            {"resize": 28},
            {"subset": {"train": 20}},
            {"duplicates": 1},
        )
    }
    assert len(ids) == 7


@pytest.mark.parametrize(
    ("kind", "fields", "changed"),
    [
        ("mnist", {}, "MNIST/raw/t10k-labels-idx1-ubyte"),
        ("cifar10", {}, "cifar-10-batches-py/data_batch_3"),
        ("image_folder", {"path": "photographs"}, "photographs/train/c3/013.png"),
    ],
)
def test_a_hash_is_kept_until_a_file_changes(
    root: Path, kind: str, fields: dict[str, str], changed: str, reads: list[Path]
) -> None:
    spec = dataset(kind, **fields)
    first = spec.source_digest(root)
    count = len(reads)
    assert count > 0
    assert spec.source_digest(root) == first
    assert Catalog(root).facts(spec, 0) == facts(spec.load(0, root))
    assert len(reads) == count
    file = root / changed
    times, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    # As large and as old as before, it is another file all the same.
    assert spec.source_digest(root) != first
    assert len(reads) == 2 * count


def test_files_that_just_changed_are_hashed_again(
    root: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_known, "SETTLED", 10**15)
    for _ in range(2):
        dataset("mnist").source_digest(root)
    assert len(reads) == 8


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"stamp": 3}'])
def test_a_damaged_record_is_made_anew(
    root: Path, tmp_path: Path, damage: bytes, reads: list[Path]
) -> None:
    first = dataset("mnist").source_digest(root)
    (record,) = (tmp_path / "cache/fragility/data").iterdir()
    record.write_bytes(damage)
    assert dataset("mnist").source_digest(root) == first
    assert len(reads) == 8


def test_a_cache_that_cannot_be_written_is_done_without(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    assert dataset("mnist").source_digest(root)


# What can be wrong with files and fields


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00 packed", "not an idx file"),
        (b"", "not an idx file"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x3c\x00\x00\x00\x1c\x00\x00\x00\x1cshort", "header says"),
    ],
)
def test_broken_idx_files_are_told(root: Path, content: bytes, message: str) -> None:
    (root / "MNIST/raw/train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        dataset("mnist").load(0, root)


def test_labels_and_images_must_be_as_many(root: Path) -> None:
    raw = root / "MNIST/raw"
    os.replace(raw / "t10k-labels-idx1-ubyte", raw / "train-labels-idx1-ubyte")
    write_idx(root / "again")
    os.replace(root / "again/MNIST/raw/t10k-labels-idx1-ubyte", raw / "t10k-labels-idx1-ubyte")
    with pytest.raises(DataError, match="60 train images and 20 labels"):
        dataset("mnist").load(0, root)


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("harm",)


def test_a_pickle_that_names_code_is_refused(root: Path) -> None:
    batch = root / "cifar-10-batches-py/data_batch_2"
    batch.write_bytes(pickle.dumps({"data": Harmful(), "labels": []}))
    with pytest.raises(DataError, match=r"names (posix|nt)\.mkdir"):
        dataset("cifar10").load(0, root)
    assert not Path("harm").exists()


@pytest.mark.parametrize("entry", [3, {}, {"data": np.zeros((2, 5), np.uint8), "labels": [1, 2]}])
def test_other_pickles_are_told(root: Path, entry: object) -> None:
    (root / "cifar-10-batches-py/test_batch").write_bytes(pickle.dumps(entry, protocol=2))
    with pytest.raises(DataError, match="not a batch of CIFAR-10"):
        dataset("cifar10").load(0, root)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hold_out": [1]}, "a test set of its own"),
        ({"test_fraction": 0.5}, "a test set of its own"),
        ({"standardize": "train"}, "images have `normalize`"),
        ({"normalize": "all"}, "normalize"),
        ({"normalize": {"mean": 0.5, "std": 0}}, "greater than 0"),
        ({"normalize": {"mean": 0.5}}, "std"),
        ({"resize": 0}, "greater than 0"),
        ({"pad": -1}, "greater than or equal to 0"),
    ],
)
def test_fields_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        dataset("mnist", **fields)


def test_there_is_a_mean_for_each_channel(root: Path) -> None:
    spec = dataset("mnist", normalize={"mean": [0.1, 0.2, 0.3], "std": 1})
    with pytest.raises(DataError, match=r"`normalize.mean` has 3 numbers, and the images have 1"):
        Catalog(root).facts(spec, 0)


def test_images_of_different_sizes_need_a_size(root: Path) -> None:
    from PIL import Image

    odd = root / "photographs/train/c4/014.png"
    Image.fromarray(resized(colour("test")[:1], 40, 30)[0].transpose(1, 2, 0)).save(odd)
    with pytest.raises(DataError, match="40 x 30, and the first image 32 x 32") as caught:
        dataset("image_folder", path="photographs").load(0, root)
    assert "resize: 32" in str(caught.value.hint)
    data = dataset("image_folder", path="photographs", resize=24).load(0, root)
    assert data.train.inputs.shape == (60, 3, 24, 24)


def test_what_is_wrong_with_a_folder_is_told(root: Path) -> None:
    folder = root / "photographs"
    (folder / "train/c4/014.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"014\.png cannot be read as an image"):
        dataset("image_folder", path="photographs").load(0, root)
    (folder / "test/new").mkdir()
    (folder / "test/c1/001.png").rename(folder / "test/new/001.png")
    with pytest.raises(DataError, match="classes that `train` does not have: new"):
        dataset("image_folder", path="photographs").load(0, root)
    (folder / "test").rename(folder / "validation")
    with pytest.raises(DataError, match="has no folder `test`"):
        dataset("image_folder", path="photographs").load(0, root)
