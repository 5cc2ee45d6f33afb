"""captum's side: the influence function that writes out the Hessian, of full rank."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.influence import NaiveInfluenceFunction
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.estimators.problem import DAMPING, Problem


def _exact(problem: Problem) -> Callable[[], Tensor]:
    problem = problem.to(torch.float32)
    n = len(problem.targets)
    module = problem.module()
    train = TensorDataset(problem.inputs, problem.targets)

    def call() -> Tensor:
        influence = NaiveInfluenceFunction(
            module,
            train,
            checkpoint="",
            checkpoints_load_func=lambda module, path: 1.0,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            batch_size=n,
            sample_wise_grads_per_batch=True,
            projection_dim=problem.theta.numel(),
            # The Hessian is that of the sum.
            hessian_reg=n * DAMPING,
        )
        return influence.influence((problem.test_inputs, problem.test_targets))

    return call


METHODS = {"exact": _exact}
