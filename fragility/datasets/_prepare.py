"""From a source to examples as used: split, subset, checks, standardization, planting."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._planting import planted
from fragility.datasets._strata import Positions, stratified
from fragility.datasets.base import Data, Dataset, Examples, Source
from fragility.errors import DataError
from fragility.identity import derive_seed

DEFAULT_TEST_FRACTION = 0.2


def prepare(dataset: Dataset, source: Source, seed: int) -> Data:
    """Return what `dataset` makes of `source`; random parts follow from `seed`."""
    if source.test is None:
        train, test = _split(dataset, source.train, seed)
    else:
        train, test = source.train, source.test
    train = _subset(dataset, train, "train", seed)
    test = _subset(dataset, test, "test", seed)
    if dataset.task == "classification":
        _check_classes(train, test, source.classes)
    train, test = _standardize(dataset, train, test)
    data = Data(train, test, dataset.task, source.features, source.classes)
    data = planted(dataset, data, seed)
    if dataset.label_noise:
        _check_classes(data.train, data.test, data.classes)
    return data


def _split(dataset: Dataset, examples: Examples, seed: int) -> tuple[Examples, Examples]:
    if dataset.hold_out is not None:
        held = np.array(dataset.hold_out, dtype=np.int64)
        if held.max() >= len(examples):
            raise DataError(
                f"`hold_out` names row {held.max()}, but the {dataset.kind} dataset has"
                f" {len(examples)} rows.",
                f"Rows count from 0; the last is {len(examples) - 1}.",
            )
    else:
        held = _drawn_test_rows(dataset, examples, seed)
    kept = np.setdiff1d(np.arange(len(examples)), held)
    if len(kept) == 0:
        raise DataError(
            f"No training row is left: all {len(examples)} are in the test set.",
            "Hold out fewer rows.",
        )
    return examples.at(kept), examples.at(held)


def _drawn_test_rows(dataset: Dataset, examples: Examples, seed: int) -> Positions:
    total = len(examples)
    fraction = dataset.test_fraction or DEFAULT_TEST_FRACTION
    # 0.07 * 100 is a little above 7 in floating point: rounded first, so that ceil stays at 7.
    count = ceil(round(fraction * total, 9))
    if count >= total:
        raise DataError(
            f"`test_fraction: {fraction}` leaves no training row of {total}.",
            "Lower it, or name test rows in `hold_out`.",
        )
    generator = np.random.default_rng(derive_seed(seed, "split"))
    if dataset.task == "regression":
        return np.sort(generator.permutation(total)[:count])
    classes = examples.targets.astype(np.int64)
    spare = total - len(np.unique(classes))
    if count > spare:
        raise DataError(
            f"A test set of {count} of {total} rows leaves some of the {total - spare} classes"
            " without a training row.",
            "Lower `test_fraction`, or check that `label` names the classes.",
        )
    return stratified(classes, count, generator, leave_one=True)


def _subset(dataset: Dataset, examples: Examples, part: str, seed: int) -> Examples:
    size = getattr(dataset.subset, part, None)
    if dataset.subset is None or size is None:
        return examples
    total = len(examples)
    count = size if isinstance(size, int) else max(1, round(size * total))
    if count > total:
        raise DataError(
            f"`subset.{part}` asks for {count} examples, but the {part} set has {total}.",
            f"Ask for at most {total}, or for a share such as 0.5.",
        )
    generator = np.random.default_rng(derive_seed(seed, f"subset {part}"))
    if dataset.subset.kind == "first":
        return examples.at(np.arange(count))
    if dataset.subset.kind == "random":
        return examples.at(np.sort(generator.permutation(total)[:count]))
    classes = examples.targets.astype(np.int64)
    return examples.at(stratified(classes, count, generator, leave_one=False))


def _check_classes(train: Examples, test: Examples, names: tuple[str, ...]) -> None:
    known = np.unique(train.targets)
    if len(known) < 2:
        raise DataError(
            f"The training set has one class only: `{names[int(known[0])]}`.",
            "Classification needs two or more: take other rows (as a stratified subset does).",
        )
    new = np.setdiff1d(test.targets, known)
    if len(new):
        listed = ", ".join(f"`{names[int(index)]}`" for index in new[:5])
        raise DataError(
            f"The test set has classes that no training example has: {listed}.",
            "Choose other test rows, or a stratified subset.",
        )


def _standardize(dataset: Dataset, train: Examples, test: Examples) -> tuple[Examples, Examples]:
    if dataset.standardize == "none":
        return train, test
    over = (train,) if dataset.standardize == "train" else (train, test)
    centre, scale = _centre_and_scale(np.concatenate([part.inputs for part in over]))
    train, test = (replace(part, inputs=(part.inputs - centre) / scale) for part in (train, test))
    if dataset.standardize_targets:
        numbers = [part.targets.astype(np.float64) for part in (train, test)]
        centre, scale = _centre_and_scale(np.concatenate(numbers[: len(over)]))
        train, test = (
            replace(part, targets=(values - centre) / scale)
            for part, values in zip((train, test), numbers, strict=True)
        )
    return train, test


def _centre_and_scale(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return mean and standard deviation (ddof 0) of each column; a constant one gets scale 1.

    The centre of a constant column is its value, not its rounded mean: it becomes exactly 0.
    """
    constant = values.max(axis=0) == values.min(axis=0)
    centre = np.where(constant, values[0], values.mean(axis=0))
    return centre, np.where(constant, 1.0, values.std(axis=0))
