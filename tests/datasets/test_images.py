"""Images: pixels as torchvision reads them, and nothing read that is not needed."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision.transforms import Compose, Normalize, Pad, Resize, ToTensor

from fragility.datasets import DATASETS, Dataset, facts
from fragility.datasets._pixels import moments
from fragility.errors import DataError
from fragility.plan.catalog import Catalog
from tests.datasets.images import SIZES, colour, write_idx

pytestmark = pytest.mark.usefixtures("alone")
PUBLISHED = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


class Batches(torchvision.datasets.CIFAR10):
    """torchvision's reader, without the checksums of the published files."""

    train_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]  # noqa: RUF012
    test_list = [["test_batch", None]]  # noqa: RUF012
    meta = {**torchvision.datasets.CIFAR10.meta, "md5": None}  # noqa: RUF012


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


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


# Memory


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
