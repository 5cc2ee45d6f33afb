"""What is planted in a training set, so that it is known: labels of another class, and copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fragility.datasets.base import Data, Dataset
from fragility.errors import DataError
from fragility.identity import derive_seed


def planted(dataset: Dataset, data: Data, seed: int) -> Data:
    """Return `data` with what `dataset` plants in it; everything else stays as it is.

    Labels are replaced first, so that the copy of a flipped example is flipped as well.
    """
    if dataset.label_noise:
        data = _with_flips(dataset, data, seed)
    if dataset.duplicates:
        data = _with_copies(dataset, data, seed)
    return data


def _with_flips(dataset: Dataset, data: Data, seed: int) -> Data:
    """Return the data with other classes, drawn from those that the training set has."""
    total = len(data.train)
    generator = np.random.default_rng(derive_seed(seed, "label noise"))
    count = max(1, round(dataset.label_noise * total))
    flipped = np.sort(generator.permutation(total)[:count])
    targets = data.train.targets.astype(np.int64)
    known, index = np.unique(targets, return_inverse=True)
    # Fewer steps around the circle of classes than there are classes never lead back.
    steps = generator.integers(1, len(known), size=count)
    before = targets[flipped]
    targets[flipped] = known[(index[flipped] + steps) % len(known)]
    train = replace(data.train, targets=targets)
    return replace(data, train=train, flipped=flipped, flipped_from=before)


def _with_copies(dataset: Dataset, data: Data, seed: int) -> Data:
    total, count = len(data.train), dataset.duplicates
    if count > total:
        raise DataError(
            f"`duplicates: {count}` asks for more copies than there are training examples,"
            f" {total}.",
            f"Ask for at most {total}.",
        )
    generator = np.random.default_rng(derive_seed(seed, "duplicates"))
    originals = np.sort(generator.permutation(total)[:count])
    own = np.searchsorted(data.flipped, originals)
    of_flipped = np.isin(originals, data.flipped)
    return replace(
        data,
        train=data.train.at(np.concatenate([np.arange(total), originals])),
        flipped=np.concatenate([data.flipped, total + np.flatnonzero(of_flipped)]),
        flipped_from=np.concatenate([data.flipped_from, data.flipped_from[own[of_flipped]]]),
        copies=np.stack([total + np.arange(count), originals], axis=1),
    )
