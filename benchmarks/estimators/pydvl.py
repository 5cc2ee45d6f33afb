"""pyDVL's side: its influence function models, fitted and asked as its documentation does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from pydvl.influence.torch import CgInfluence, DirectInfluence, EkfacInfluence
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.estimators.problem import DAMPING, Problem


def _call(influence: Callable[..., object], problem: Problem) -> Callable[[], Tensor]:
    problem = problem.to(torch.float32)
    module = problem.module()
    examples = TensorDataset(problem.inputs, problem.targets)
    train = DataLoader(examples, batch_size=len(examples))

    def call() -> Tensor:
        fitted = influence(module).fit(train)
        return fitted.influences(
            problem.test_inputs, problem.test_targets, problem.inputs, problem.targets
        )

    return call


METHODS = {
    "exact": partial(_call, partial(DirectInfluence, loss=cross_entropy, regularization=DAMPING)),
    "cg": partial(
        _call,
        partial(CgInfluence, loss=cross_entropy, regularization=DAMPING, solve_simultaneously=True),
    ),
    "ekfac": partial(
        _call, partial(EkfacInfluence, update_diagonal=True, hessian_regularization=DAMPING)
    ),
}
