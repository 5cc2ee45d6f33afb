"""dattri's side: its attributors as its README calls them, all examples in one batch.

Over several batches dattri adds up inverses of the batches' Hessians, and solves again for each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from dattri.algorithm import IFAttributorCG, IFAttributorEKFAC, IFAttributorExplicit
from dattri.task import AttributionTask
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.estimators.problem import DAMPING, Problem


def _loader(inputs: Tensor, targets: Tensor) -> DataLoader:
    return DataLoader(TensorDataset(inputs, targets), batch_size=len(targets))


def _call(attributor: Callable[..., object], problem: Problem) -> Callable[[], Tensor]:
    problem = problem.to(torch.float32)
    module = problem.module()
    train = _loader(problem.inputs, problem.targets)
    test = _loader(problem.test_inputs, problem.test_targets)

    def loss(parameters: dict[str, Tensor], data: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = data
        return cross_entropy(torch.func.functional_call(module, parameters, inputs), targets)

    def call() -> Tensor:
        task = AttributionTask(loss_func=loss, model=module, checkpoints=module.state_dict())
        attribution = attributor(task=task)
        attribution.cache(train)
        with torch.no_grad():
            return attribution.attribute(train, test).T

    return call


METHODS = {
    "exact": partial(_call, partial(IFAttributorExplicit, regularization=DAMPING)),
    "cg": partial(_call, partial(IFAttributorCG, regularization=DAMPING, max_iter=40)),
    "ekfac": partial(_call, partial(IFAttributorEKFAC, damping=DAMPING)),
}
