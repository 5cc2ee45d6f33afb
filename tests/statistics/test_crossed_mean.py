"""The mean of a table with random rows and columns, against the fitted mixed model."""

from __future__ import annotations

import numpy as np
import pytest

from fragility.statistics import mixed_model
from fragility.statistics.crossed_mean import crossed_mean

SIZES = [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5), (0.0, 0.0), (0.15, 0.1)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sizes", SIZES)
def test_it_is_the_fitted_model(sizes: tuple[float, float], seed: int) -> None:
    """With variances that are there and those that are estimated as zero."""
    rng = np.random.default_rng([seed, *(int(100 * size) for size in sizes)])
    shape = (5, 9)
    table = 0.3 + rng.normal(size=shape) * 0.4
    table += sizes[0] * rng.normal(size=(5, 1)) + sizes[1] * rng.normal(size=(1, 9))
    row, column = (place.ravel().tolist() for place in np.indices(shape))
    model = mixed_model(table.ravel(), fixed={}, random={"row": row, "column": column})
    expected = model.effects[0]
    mean, error, freedom = crossed_mean(table)
    assert mean == pytest.approx(expected.value, rel=1e-9)
    assert error == pytest.approx(expected.standard_error, rel=1e-4)
    assert freedom == pytest.approx(expected.freedom, rel=1e-2)


def test_a_constant_table_has_no_error() -> None:
    assert crossed_mean(np.full((3, 4), 0.25)) == (0.25, 0.0, 11.0)
