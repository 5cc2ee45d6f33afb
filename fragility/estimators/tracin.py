"""Products of gradients along the training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from fragility.estimators._gradients import GradientEstimator, gradients_of_tests
from fragility.estimators._trajectory import followed
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import gradient_products
from fragility.numerics.history import History
from fragility.numerics.trained import TrainedModel


class TracIn(GradientEstimator):
    """Products of gradients at checkpoints of the training, weighted by learning rates.

    The score is (1/n) sum_c r_c grad f_t(theta_c)^T grad l_i(theta_c). The training's steps are
    cut into `checkpoints` equal parts; theta_c are the parameters in the middle of a part, and r_c
    is the sum of the learning rates of its steps. For gradient descent on the full batch, with a
    checkpoint a step, it is by how much the example's share of every step lowered the test loss at
    that step, to first order. What a step changes in the later ones is left out; `unrolled` has it.
    On minibatches every example counts 1/n of each step, its share on average.

    Valid when: training is by sgd without momentum. With momentum m the steps are 1/(1 - m) times
        as long, so that scores keep their order and not their scale; for adam the
        learning rate is not the length of a step, whose coordinates have lengths of their own.
    Cost: at most two trainings, and for each checkpoint a gradient of every example. Memory for S
        steps: about 7 sqrt(S) times the parameters.
    Reference: Pruthi et al. 2020: TracInCP, and with a checkpoint a step TracIn's idealized form.
    """

    kind: Literal["tracin"] = "tracin"
    checkpoints: PositiveInt = 10
    """Number of equal parts of the training; a part for each step where it has fewer."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points, and how closely the training was repeated."""
        history, distance = followed(model, self.kind)
        scores = torch.zeros(
            len(test_points), model.n, dtype=torch.float64, device=test_points.device
        )
        for theta, rate in _checkpoints(history, self.checkpoints):
            parameters = model.network.layout.unflatten(theta)
            here, layout = self.followed(replace(model, parameters=parameters, history=None))
            directions = gradients_of_tests(here, layout, test_points)
            scores += rate / model.n * gradient_products(here, layout, directions)
        return Estimate(scores, {"replay_distance": distance, "replay_steps": len(history.rates)})


def _checkpoints(history: History, count: int) -> Iterator[tuple[Tensor, float]]:
    """Yields the parameters (P,) in the middle of equal parts, and the part's learning rates."""
    steps = len(history.rates)
    count = min(count, steps)
    bounds = [steps * k // count for k in range(count + 1)] if count else []
    parts = {(a + b) // 2: slice(a, b) for a, b in pairwise(bounds)}
    for segment in history.segments:
        middles = [step for step in parts if step in segment]
        if middles:
            taken = history.replay(middles[0], middles[-1] + 1)
            for middle in middles:
                rates = history.rates[parts[middle]]
                yield taken[middle - middles[0]].theta, float(rates.double().sum())
