"""Candidates to choose from."""

from __future__ import annotations

import numpy as np

from fragility.selectors import Candidates


def candidates(size: int = 60, seed: int = 0, classes: int = 3) -> Candidates:
    """Distinct losses and scores of two estimators for two test points, and uneven classes."""
    rng = np.random.default_rng(5)
    exact = rng.standard_t(3, (2, size))
    targets = np.minimum(rng.geometric(0.5, size), classes) - 1
    targets[:classes] = np.arange(classes)
    wrong = rng.random(size) < 0.3
    return Candidates(
        losses=rng.exponential(size=size),
        scores={"exact": exact, "cg": exact + rng.standard_normal((2, size))},
        seed=seed,
        inputs=rng.standard_normal((size, 2)),
        targets=targets,
        wrong=lambda: wrong,
        gradient_norms=lambda: np.zeros(len(wrong)),
    )
