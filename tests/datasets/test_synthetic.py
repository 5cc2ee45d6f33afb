"""Synthetic data: shapes, seeds, known structure and refused fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fragility.datasets import Data
from fragility.datasets.synthetic import Synthetic

HERE = Path()


def load(seed: int = 0, **fields: Any) -> Data:
    return Synthetic.model_validate({"kind": "synthetic", **fields}).load(seed, HERE)


def test_the_seed_decides_all() -> None:
    a, b, c = load(1), load(1), load(2)
    np.testing.assert_array_equal(a.train.inputs, b.train.inputs)
    np.testing.assert_array_equal(a.test.rows, b.test.rows)
    assert not np.array_equal(a.train.inputs, c.train.inputs)


def test_classification() -> None:
    data = load(n=301, n_features=7, n_informative=4, n_redundant=2, n_classes=3, test_n=50)
    assert data.train.inputs.shape == (251, 7)
    assert list(data.test.rows) == list(range(251, 301))
    assert data.classes == ("0", "1", "2")
    assert data.features == ("x0", "x1", "x2", "x3", "x4", "x5", "x6")


def test_regression_without_noise_is_linear() -> None:
    data = load(task="regression", n=60, n_features=5, n_informative=2)
    coefficients, *_ = np.linalg.lstsq(data.train.inputs, data.train.targets, rcond=None)
    np.testing.assert_allclose(data.test.inputs @ coefficients, data.test.targets, atol=1e-8)
    assert np.count_nonzero(np.abs(coefficients) > 1e-6) == 2


def test_noise_has_its_size() -> None:
    data = load(task="regression", n=4000, n_features=5, noise=3.0)
    coefficients, *_ = np.linalg.lstsq(data.train.inputs, data.train.targets, rcond=None)
    assert np.std(data.train.targets - data.train.inputs @ coefficients) == pytest.approx(
        3, abs=0.2
    )


def test_label_noise_changes_that_share_of_labels() -> None:
    data = load(n=4000, test_n=1, class_separation=8.0, label_noise=0.4)
    inputs, targets = data.train.inputs, data.train.targets
    centres = np.stack([np.median(inputs[targets == label], axis=0) for label in (0, 1)])
    nearest = np.argmin(((inputs[:, None] - centres) ** 2).sum(axis=2), axis=1)
    assert np.mean(nearest != targets) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "regression", "n_classes": 3}, "`n_classes` is for `task: classification` only"),
        ({"task": "regression", "label_noise": 0.1}, "regression has none"),
        ({"noise": 1.0}, "use `label_noise`"),
        ({"test_n": 10, "test_fraction": 0.1}, "chosen twice"),
        ({"test_n": 10, "hold_out": [1]}, "chosen twice"),
        ({"n": 10, "test_n": 10}, "leaves no training example"),
        ({"n_features": 4}, "do not fit into `n_features: 4`"),
        ({"n_informative": 1, "n_classes": 3}, "has 2; raise it"),
    ],
)
def test_what_cannot_be_drawn_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Synthetic.model_validate({"kind": "synthetic", **fields})
