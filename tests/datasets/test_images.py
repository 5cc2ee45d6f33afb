"""Images: pixels as torchvision reads them, where they are looked for, and what names them."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from pydantic import ValidationError
from torchvision.transforms import Compose, Normalize, Pad, Resize, ToTensor

from fragility.datasets import DATASETS, Data, Dataset, Facts, _known, facts
from fragility.datasets._image_dataset import ImageDataset
from fragility.datasets._pixels import moments, resized
from fragility.errors import DataError
from fragility.plan.catalog import Catalog
from tests.datasets.images import (
    SIZES,
    colour,
    gray,
    write_batches,
    write_folder,
    write_idx,
)

PUBLISHED = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


class Batches(torchvision.datasets.CIFAR10):
    """torchvision's reader, without the checksums of the published files."""

    train_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]  # noqa: RUF012
    test_list = [["test_batch", None]]  # noqa: RUF012
    meta = {**torchvision.datasets.CIFAR10.meta, "md5": None}  # noqa: RUF012


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


@pytest.fixture(autouse=True)
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


def theirs(kind: str, root: Path, part: str, *then: Any) -> tuple[np.ndarray, list[int]]:
    """What torchvision makes of the same files."""
    train, transform = part == "train", Compose([ToTensor(), *then])
    if kind == "image_folder":
        source = torchvision.datasets.ImageFolder(root / "photographs" / part, transform)
    elif kind == "cifar10":
        source = Batches(root, train=train, transform=transform)
    else:
        source = getattr(torchvision.datasets, PUBLISHED[kind])(root, train, transform=transform)
    images, targets = zip(*source, strict=True)
    return torch.stack(images).numpy(), list(targets)


FILES = [
    ("mnist", {}, 0.1307, 0.3081),
    ("fashion_mnist", {}, 0.286, 0.353),
    ("cifar10", {}, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
    ("image_folder", {"path": "photographs"}, 0.5, 0.5),
]


@pytest.mark.parametrize(("kind", "fields", "mean", "std"), FILES)
def test_images_are_torchvisions(
    root: Path, kind: str, fields: dict[str, str], mean: Any, std: Any
) -> None:
    plain = dataset(kind, **fields).load(0, root)
    scaled = dataset(kind, **fields, normalize={"mean": mean, "std": std}, pad=2).load(0, root)
    for part in ("train", "test"):
        images, targets = theirs(kind, root, part)
        used = getattr(plain, part)
        assert used.inputs.dtype == np.float32
        np.testing.assert_array_equal(used.inputs, images)
        assert list(used.targets) == targets
        assert list(used.rows) == list(range(SIZES[part]))
        images, _ = theirs(kind, root, part, Normalize(mean, std), Pad(2))
        np.testing.assert_array_equal(getattr(scaled, part).inputs, images)


@pytest.mark.parametrize(("kind", "fields"), [(k, f) for k, f, _, _ in FILES])
@pytest.mark.parametrize("resize", [16, [20, 40]])
def test_sizes_are_torchvisions(
    root: Path, kind: str, fields: dict[str, str], resize: int | list[int]
) -> None:
    data = dataset(kind, **fields, resize=resize).load(0, root)
    size = (resize, resize) if isinstance(resize, int) else resize
    transform = Resize(size)

    def before(image: torch.Tensor) -> torch.Tensor:
        # Back to the very pixels, which Resize then takes as Pillow's image.
        pixels = torchvision.transforms.functional.to_pil_image((image * 255).round().byte())
        return ToTensor()(transform(pixels))

    images, _ = theirs(kind, root, "test", before)
    np.testing.assert_array_equal(data.test.inputs, images)


def test_channels_are_normalized_by_the_training_images(root: Path) -> None:
    data = dataset("cifar10", normalize="train").load(0, root)
    pixels = colour("train").astype(np.float64) / 255
    mean, std = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    for part in ("train", "test"):
        expected = (colour(part) / 255 - mean[:, None, None]) / std[:, None, None]
        np.testing.assert_allclose(getattr(data, part).inputs, expected, atol=1e-6)
    got = moments(colour("train"))
    np.testing.assert_allclose(got, (mean, std), rtol=1e-13)


def test_a_constant_channel_becomes_zero() -> None:
    mean, std = moments(np.full((3, 1, 4, 4), 255, dtype=np.uint8))
    assert (mean[0], std[0]) == (1.0, 1.0)


def test_planted_copies_change_no_other_image(root: Path) -> None:
    fields: dict[str, Any] = {"normalize": "train", "label_noise": 0.1}
    plain = dataset("mnist", **fields).load(4, root)
    copied = dataset("mnist", **fields, duplicates=7).load(4, root)
    np.testing.assert_array_equal(copied.train.inputs[:60], plain.train.inputs)
    for copy, original in copied.copies:
        np.testing.assert_array_equal(copied.train.inputs[copy], copied.train.inputs[original])
    assert len(copied.copies) == 7
    assert len(plain.flipped) == 6


@pytest.mark.parametrize(("kind", "fields"), [(k, f) for k, f, _, _ in FILES])
def test_subsets_count_or_share_with_classes_in_proportion(
    root: Path, kind: str, fields: dict[str, str]
) -> None:
    whole = dataset(kind, **fields).load(0, root)
    subset = {"train": 20, "test": 0.5, "kind": "stratified"}
    part = dataset(kind, **fields, subset=subset).load(0, root)
    assert list(np.bincount(part.train.targets)) == [2] * 10
    assert list(np.bincount(part.test.targets)) == [1] * 10
    np.testing.assert_array_equal(part.train.inputs, whole.train.inputs[part.train.rows])
    np.testing.assert_array_equal(part.test.inputs, whole.test.inputs[part.test.rows])
    other = dataset(kind, **fields, subset=subset).load(1, root)
    assert list(other.train.rows) != list(part.train.rows)


@pytest.mark.parametrize(("kind", "fields"), [(k, f) for k, f, _, _ in FILES])
@pytest.mark.parametrize(
    "use",
    [
        {},
        {"subset": {"train": 20, "kind": "stratified"}, "pad": 2, "duplicates": 3},
        {"resize": [16, 24], "label_noise": 0.2},
    ],
)
def test_a_plan_reads_no_pixels(
    root: Path,
    kind: str,
    fields: dict[str, str],
    use: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = dataset(kind, **fields, **use)
    expected = facts(spec.load(0, root))

    def refuse(*_: object) -> None:
        raise AssertionError("pixels are read")

    monkeypatch.setattr(type(spec), "pixels", refuse)
    assert Catalog(root).facts(spec, 0) == expected
    with pytest.raises(AssertionError, match="pixels"):
        Catalog(root).data(spec, 0)


def test_what_is_wrong_with_labels_shows_before_pixels_are_read(root: Path) -> None:
    with pytest.raises(DataError, match="asks for 61 examples, but the train set has 60"):
        Catalog(root).facts(dataset("mnist", subset={"train": 61}), 0)
    with pytest.raises(DataError, match="has one class only: `0`"):
        Catalog(root).facts(dataset("mnist", subset={"train": 1, "kind": "first"}), 0)


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


# Memory, and the published files


def test_nothing_is_held_in_float64(tmp_path: Path) -> None:
    n = 12_000
    write_idx(tmp_path / "work" / "data", train=n)
    spec = dataset("mnist", normalize="train")
    spec.source_digest(tmp_path)
    tracemalloc.start()
    try:
        data = spec.load(0, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert data.train.inputs.nbytes == n * 784 * 4
    # The numbers, the bytes they are made of, and one block: less than 8 bytes a pixel.
    assert peak < n * 784 * 7


def has_mnist() -> bool:
    return (Path(os.environ.get("FRAGILITY_DATA", "data")) / "MNIST" / "raw").is_dir()


REAL = os.environ.get("FRAGILITY_DATA", "data")


@pytest.mark.skipif(not has_mnist(), reason="FRAGILITY_DATA has no MNIST")
def test_the_published_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGILITY_DATA", str(Path(REAL).absolute()))
    data: Data = dataset("mnist").load(0, Path())
    assert facts(data) == Facts(60_000, 10_000, (1, 28, 28), 10, "classification")
    assert list(np.bincount(data.train.targets)[:4]) == [5923, 6742, 5958, 6131]
    assert list(data.test.targets[:5]) == [7, 2, 1, 0, 4]
    # The mean and standard deviation that everyone normalizes with.
    assert round(float(data.train.inputs.mean(dtype=np.float64)), 4) == 0.1307
    assert round(float(data.train.inputs.std(dtype=np.float64)), 4) == 0.3081
