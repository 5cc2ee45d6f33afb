"""The published images themselves, as torchvision reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from torchvision.transforms import Compose, Normalize, Pad, Resize, ToTensor

from fragility.datasets import DATASETS, Data, Dataset, Facts, facts
from fragility.plan.catalog import Catalog
from tests.datasets.published import published_root

pytestmark = pytest.mark.usefixtures("alone")
KINDS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hashes of 24,000 files, kept from test to test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def published(alone: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = published_root()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("FRAGILITY_DATA", str(root))
    return root


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


def assert_same(data: Data, part: str, theirs: Any) -> None:
    """Pixels and labels of the rows in use are those of torchvision's reader."""
    examples = getattr(data, part)
    assert len(examples) >= 100
    for position, row in enumerate(examples.rows):
        image, target = theirs[int(row)]
        np.testing.assert_array_equal(examples.inputs[position], image.numpy())
        assert examples.targets[position] == target


def test_mnist_is_whole(published: Path) -> None:
    spec = dataset("mnist")
    data = spec.load(0, published)
    assert facts(data) == Facts(60_000, 10_000, (1, 28, 28), 10, "classification")
    assert Catalog(published).facts(spec, 0) == facts(data)
    assert list(np.bincount(data.train.targets)[:4]) == [5923, 6742, 5958, 6131]
    assert list(data.test.targets[:5]) == [7, 2, 1, 0, 4]
    # The mean and standard deviation that everyone normalizes with.
    assert round(float(data.train.inputs.mean(dtype=np.float64)), 4) == 0.1307
    assert round(float(data.train.inputs.std(dtype=np.float64)), 4) == 0.3081


def test_mnist_is_what_torchvision_reads(published: Path) -> None:
    transform = Compose([ToTensor(), Normalize([0.1307], [0.3081]), Pad(2)])
    data = dataset(
        "mnist",
        subset={"train": 200, "test": 100, "kind": "stratified"},
        normalize={"mean": 0.1307, "std": 0.3081},
        pad=2,
    ).load(0, published)
    for part in ("train", "test"):
        theirs = torchvision.datasets.MNIST(published, train=part == "train", transform=transform)
        assert_same(data, part, theirs)


def test_a_folder_of_photographs_is_whole(published: Path) -> None:
    spec = dataset("image_folder", path="cifar10")
    index = spec.index(spec.place(published))  # type: ignore[attr-defined]
    assert (index.shape, index.classes) == ((3, 32, 32), KINDS)
    for part in ("train", "test"):
        theirs = torchvision.datasets.ImageFolder(published / "cifar10" / part)
        assert theirs.classes == list(KINDS)
        assert list(getattr(index, part)) == theirs.targets


@pytest.mark.parametrize("resize", [None, 24])
def test_photographs_are_what_torchvision_reads(published: Path, resize: int | None) -> None:
    fields = {} if resize is None else {"resize": resize}
    data = dataset(
        "image_folder",
        path="cifar10",
        subset={"train": 150, "test": 100, "kind": "stratified"},
        normalize={"mean": 0.5, "std": 0.5},
        **fields,
    ).load(1, published)
    assert list(np.bincount(data.train.targets)) == [15] * 10
    steps = [ToTensor(), Normalize([0.5] * 3, [0.5] * 3)]
    if resize is not None:
        steps.insert(0, Resize((resize, resize)))
    for part in ("train", "test"):
        theirs = torchvision.datasets.ImageFolder(published / "cifar10" / part, Compose(steps))
        assert_same(data, part, theirs)


def test_under_ci_these_tests_do_not_pass_without_the_files(tmp_path: Path) -> None:
    assert published_root({"FRAGILITY_DATA": str(tmp_path), "CI": "true"}) == tmp_path
    with pytest.raises(pytest.skip.Exception, match="FRAGILITY_DATA"):
        published_root({})
    with pytest.raises(pytest.fail.Exception, match="not skipped"):
        published_root({"CI": "true"})
