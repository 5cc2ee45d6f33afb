"""What all datasets share: split, subset, standardization, seeds, and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.preprocessing import StandardScaler

from fragility.datasets import DATASETS, Data, Dataset, Facts, facts
from fragility.datasets._strata import allocate, stratified
from fragility.errors import DataError

HERE = Path()
BUNDLED = ["breast_cancer", "diabetes", "digits", "iris", "wine"]
IMAGES = ["mnist", "fashion_mnist", "cifar10", "image_folder", "npz"]


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


def load(kind: str, seed: int = 0, **fields: Any) -> Data:
    return dataset(kind, **fields).load(seed, HERE)


def same(a: Data, b: Data) -> bool:
    return all(
        np.array_equal(getattr(getattr(a, part), name), getattr(getattr(b, part), name))
        for part in ("train", "test")
        for name in ("inputs", "targets", "rows")
    )


def test_the_room_holds_every_kind() -> None:
    others = ["synthetic", "csv", "parquet", "python"]
    assert sorted(DATASETS.methods) == sorted([*BUNDLED, *IMAGES, *others])


@pytest.mark.parametrize("kind", [*BUNDLED, "synthetic"])
def test_a_fifth_is_tested_and_types_are_as_agreed(kind: str) -> None:
    data = load(kind)
    n = len(data.train) + len(data.test)
    assert len(data.test) == int(np.ceil(n / 5))
    assert sorted([*data.train.rows, *data.test.rows]) == list(range(n))
    for part in (data.train, data.test):
        assert part.inputs.dtype == np.float64
        assert part.rows.dtype == np.int64
        assert (np.diff(part.rows) > 0).all()
        if data.task == "classification":
            assert part.targets.dtype == np.int64
            assert set(part.targets) == set(range(len(data.classes)))
        else:
            assert part.targets.shape == (len(part), 1)
            assert part.targets.dtype == np.float64
            assert data.classes == ()
    assert len(data.features) == data.train.inputs.shape[1]


@pytest.mark.parametrize("kind", BUNDLED)
def test_rows_are_scikit_learns(kind: str) -> None:
    import sklearn.datasets

    inputs, targets = getattr(sklearn.datasets, f"load_{kind}")(return_X_y=True)
    data = load(kind, seed=3)
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.inputs, inputs[part.rows])
        np.testing.assert_array_equal(part.targets.ravel(), targets[part.rows])


def test_known_facts() -> None:
    assert facts(load("iris", hold_out=[83])) == Facts(149, 1, (4,), 3, "classification")
    assert facts(load("diabetes")) == Facts(353, 89, (10,), 1, "regression")
    assert facts(load("breast_cancer")) == Facts(455, 114, (30,), 2, "classification")


def test_hold_out_keeps_its_order() -> None:
    data = load("iris", hold_out=[83, 0, 120])
    assert list(data.test.rows) == [83, 0, 120]
    assert 83 not in data.train.rows
    assert list(data.test.targets) == [1, 0, 2]


def test_splits_are_stratified_and_follow_the_seed() -> None:
    data = load("iris", seed=1)
    assert list(np.bincount(data.test.targets)) == [10, 10, 10]
    assert same(data, load("iris", seed=1))
    assert not same(data, load("iris", seed=2))


@pytest.mark.parametrize("kind", ["iris", "diabetes", "synthetic"])
@pytest.mark.parametrize("over", ["train", "all"])
def test_standardization_is_scikit_learns(kind: str, over: str) -> None:
    plain, scaled = load(kind), load(kind, standardize=over)
    fitted = plain.train.inputs
    if over == "all":
        fitted = np.concatenate([fitted, plain.test.inputs])
    scaler = StandardScaler().fit(fitted)
    np.testing.assert_allclose(
        scaled.train.inputs, scaler.transform(plain.train.inputs), atol=1e-12
    )
    np.testing.assert_allclose(scaled.test.inputs, scaler.transform(plain.test.inputs), atol=1e-12)
    np.testing.assert_array_equal(scaled.train.targets, plain.train.targets)


def test_constant_columns_become_zero() -> None:
    data = load("digits", standardize="train")
    constant = np.ptp(load("digits").train.inputs, axis=0) == 0
    assert constant.any()
    assert (data.train.inputs[:, constant] == 0).all()
    assert np.isfinite(data.test.inputs).all()


def test_standardization_is_over_the_subset() -> None:
    data = load("wine", standardize="train", subset={"train": 40})
    np.testing.assert_allclose(data.train.inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.inputs.std(axis=0), 1)


def test_targets_are_standardized_only_on_request() -> None:
    data = load("diabetes", standardize="train", standardize_targets=True)
    assert data.train.targets.mean() == pytest.approx(0, abs=1e-12)
    assert data.train.targets.std() == pytest.approx(1)
    assert data.test.targets.std() != pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", ["first", "random", "stratified"])
def test_subsets(kind: str) -> None:
    whole = load("digits", seed=5)
    data = load("digits", seed=5, subset={"train": 30, "test": 0.5, "kind": kind})
    assert (len(data.train), len(data.test)) == (30, 180)
    assert set(data.train.rows) < set(whole.train.rows)
    assert set(data.test.rows) < set(whole.test.rows)
    assert (np.diff(data.train.rows) > 0).all()
    if kind == "first":
        assert list(data.train.rows) == list(whole.train.rows[:30])
    if kind == "stratified":
        assert list(np.bincount(data.train.targets)) == [3] * 10


def test_one_part_can_be_cut_alone() -> None:
    data = load("iris", subset={"test": 7})
    assert (len(data.train), len(data.test)) == (120, 7)


def test_an_integral_share_is_not_a_count() -> None:
    assert len(load("iris", subset={"train": 1.0}).train) == 120


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("iris", {"hold_out": [1], "test_fraction": 0.2}, "drop `hold_out` or `test_fraction`"),
        ("iris", {"hold_out": [1, 1]}, "names a row twice"),
        ("iris", {"hold_out": []}, "at least 1 item"),
        ("iris", {"hold_out": [-1]}, "greater than or equal to 0"),
        ("iris", {"test_fraction": 1.0}, "less than 1"),
        ("iris", {"subset": {}}, "`train`, `test` or both"),
        ("iris", {"subset": {"train": 0}}, "greater than 0"),
        ("iris", {"standardize": "yes"}, "'none', 'train' or 'all'"),
        ("iris", {"standardize_targets": True}, "classes cannot be standardized"),
        ("diabetes", {"standardize_targets": True}, "say over which examples"),
        ("diabetes", {"subset": {"train": 9, "kind": "stratified"}}, "needs classes"),
        ("iris", {"dampng": 1}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        dataset(kind, **fields)


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        (
            {"hold_out": [150]},
            "names row 150, but the iris dataset has 150 rows",
            "the last is 149",
        ),
        ({"hold_out": list(range(150))}, "No training row is left", "Hold out fewer"),
        ({"test_fraction": 0.999}, "leaves no training row of 150", "Lower it"),
        ({"test_fraction": 0.99}, "some of the 3 classes", "Lower `test_fraction`"),
        ({"subset": {"train": 121}}, "asks for 121 examples, but the train set has 120", "at most"),
        ({"hold_out": list(range(50))}, "no training example has: `setosa`", "other test rows"),
        ({"hold_out": list(range(100))}, "one class only: `virginica`", "two or more"),
    ],
)
def test_impossible_splits_say_what_to_do(fields: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        load("iris", **fields)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_datasets_are_keys_and_digests_tell_sources_apart() -> None:
    assert len({dataset("iris", hold_out=[83]), dataset("iris", hold_out=[83])}) == 1
    digests = {dataset(kind).source_digest(HERE) for kind in BUNDLED}
    assert len(digests) == len(BUNDLED)
    assert dataset("synthetic").source_digest(HERE) == ""


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6).map(np.array),
    share=st.floats(0, 1),
    leave_one=st.booleans(),
)
def test_allocation_is_proportional(sizes: np.ndarray, share: float, leave_one: bool) -> None:
    most = sizes - 1 if leave_one else sizes
    count = int(share * most.sum())
    shares = allocate(sizes, count, most)
    assert shares.sum() == count
    assert (shares >= 0).all()
    assert (shares <= most).all()
    if count >= (most > 0).sum():
        assert (shares[most > 0] > 0).all()


@given(
    classes=st.lists(st.integers(0, 3), min_size=5, max_size=40).map(np.array),
    seed=st.integers(0, 9),
)
def test_a_stratified_test_set_leaves_every_class_a_member(classes: np.ndarray, seed: int) -> None:
    count = (len(classes) - len(np.unique(classes))) // 2
    chosen = stratified(classes, count, np.random.default_rng(seed), leave_one=True)
    assert len(set(chosen)) == count
    assert set(np.delete(classes, chosen)) == set(classes)
