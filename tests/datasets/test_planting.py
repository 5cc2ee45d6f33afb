"""Planted labels and copies: how many, where, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fragility.datasets import DATASETS, Data, Dataset
from fragility.errors import DataError
from fragility.plan.catalog import Catalog

HERE = Path()


def dataset(kind: str = "iris", **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


def load(kind: str = "iris", seed: int = 0, **fields: Any) -> Data:
    return dataset(kind, **fields).load(seed, HERE)


def test_nothing_is_planted_unless_it_is_asked_for() -> None:
    data = load()
    assert data.flipped.shape == data.flipped_from.shape == (0,)
    assert data.copies.shape == (0, 2)


@pytest.mark.parametrize("kind", ["iris", "breast_cancer", "digits", "synthetic"])
def test_that_share_of_the_training_labels_is_another_class(kind: str) -> None:
    clean, noisy = load(kind), load(kind, label_noise=0.1)
    changed = np.flatnonzero(clean.train.targets != noisy.train.targets)
    assert len(changed) == round(0.1 * len(clean.train))
    np.testing.assert_array_equal(changed, noisy.flipped)
    np.testing.assert_array_equal(clean.train.targets[changed], noisy.flipped_from)
    np.testing.assert_array_equal(clean.train.inputs, noisy.train.inputs)
    for name in ("inputs", "targets", "rows"):
        np.testing.assert_array_equal(getattr(clean.test, name), getattr(noisy.test, name))


def test_the_other_classes_are_drawn_alike() -> None:
    data = load("digits", label_noise=1.0)
    steps = (data.train.targets.astype(np.int64) - data.flipped_from) % 10
    counts = np.bincount(steps, minlength=10)
    assert counts[0] == 0
    # 1437 labels over 9 steps: 160 each, give or take four standard deviations of 12.
    assert np.abs(counts[1:] - len(steps) / 9).max() < 48


def test_labels_come_from_classes_that_are_trained_on() -> None:
    two = {"hold_out": [0], "subset": {"kind": "first", "train": 100}}
    assert set(load("wine", **two).train.targets.tolist()) == {0, 1}
    assert set(load("wine", **two, label_noise=0.5).train.targets.tolist()) == {0, 1}


def test_copies_stand_behind_all_others_and_keep_their_row() -> None:
    clean, doubled = load(), load(duplicates=7)
    n = len(clean.train)
    assert len(doubled.train) == n + 7
    np.testing.assert_array_equal(doubled.copies[:, 0], n + np.arange(7))
    assert len(set(doubled.copies[:, 1])) == 7
    for name in ("inputs", "targets", "rows"):
        kept, copied = np.split(getattr(doubled.train, name), [n])
        np.testing.assert_array_equal(kept, getattr(clean.train, name))
        np.testing.assert_array_equal(copied, kept[doubled.copies[:, 1]])


def test_copies_do_not_move_the_mean_of_standardized_features() -> None:
    clean, doubled = load(standardize="train"), load(standardize="train", duplicates=20)
    np.testing.assert_array_equal(clean.train.inputs, doubled.train.inputs[: len(clean.train)])


def test_a_copy_of_a_flipped_example_is_flipped_too() -> None:
    data = load(label_noise=0.5, duplicates=60)
    own = load()
    again = np.isin(data.copies[:, 1], data.flipped)
    assert 0 < again.sum() < 60
    truth = np.concatenate([own.train.targets, own.train.targets[data.copies[:, 1]]])
    np.testing.assert_array_equal(np.flatnonzero(data.train.targets != truth), data.flipped)
    np.testing.assert_array_equal(truth[data.flipped], data.flipped_from)


def test_the_seed_decides_what_is_planted_and_flips_do_not_move_copies() -> None:
    one, two = load(label_noise=0.2, duplicates=5), load(label_noise=0.2, duplicates=5)
    np.testing.assert_array_equal(one.flipped, two.flipped)
    np.testing.assert_array_equal(one.copies, two.copies)
    np.testing.assert_array_equal(one.copies, load(duplicates=5).copies)
    other = load(label_noise=0.2, duplicates=5, hold_out=[0], seed=1)
    assert not np.array_equal(one.copies[:, 1], other.copies[:, 1])


def test_numbers_can_be_copied_too() -> None:
    data = load("diabetes", duplicates=3)
    np.testing.assert_array_equal(data.train.targets[-3:], data.train.targets[data.copies[:, 1]])


def test_only_what_is_planted_is_part_of_the_identity() -> None:
    plain = dataset()
    assert not {"label_noise", "duplicates"} & set(plain.identity())
    assert dataset(label_noise=0.0, duplicates=0).identity() == plain.identity()
    names = {
        Catalog(HERE).data_id(dataset(**fields), 0)
        for fields in ({}, {"label_noise": 0.1}, {"label_noise": 0.2}, {"duplicates": 1})
    }
    assert len(names) == 4


def test_what_cannot_be_planted_is_refused() -> None:
    with pytest.raises(ValidationError, match="regression has none; drop it"):
        dataset("diabetes", label_noise=0.1)
    with pytest.raises(DataError, match="`duplicates: 121` asks for more copies"):
        load(duplicates=121)
    with pytest.raises(DataError, match="classes that no training example has"):
        load(subset={"kind": "stratified", "train": 3}, label_noise=0.3)
