"""Scores that know nothing: the null that every estimator has to beat."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from fragility.estimators.base import Estimate, Estimator
from fragility.identity import derive_seed
from fragility.numerics.trained import TrainedModel


class Random(Estimator):
    """Standard normal scores, drawn anew for every trained model and every test point.

    They have no unit and no sign, and their agreement with any effect is chance: what a metric
    makes of them is the null of the whole procedure, selection of points included. A row depends
    on `seed`, on the model's parameters to the last bit, and on the test point's position: repeats
    differ, and other test points beside it change nothing.

    Valid when: always; as the null, never as an estimate.
    Cost: one random number a score.
    Reference: none; it is chance itself.
    """

    kind: Literal["random"] = "random"
    seed: NonNegativeInt = 0
    """Seed of the draw."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns one row of draws for each test point."""
        drawn = fingerprint(model)
        scores = torch.empty(len(test_points), model.n, dtype=torch.float64)
        for row, point in zip(scores, test_points.tolist(), strict=True):
            seed = derive_seed(self.seed, "random scores", drawn, point)
            row.normal_(generator=torch.Generator().manual_seed(seed))
        return Estimate(scores.to(model.inputs.device))


def fingerprint(model: TrainedModel) -> int:
    """Returns a number that names the model's parameters to the last bit."""
    found = hashlib.sha256()
    for name in model.network.layout.names:
        found.update(model.parameters[name].detach().cpu().contiguous().numpy().tobytes())
    return int.from_bytes(found.digest()[:8], "big")
