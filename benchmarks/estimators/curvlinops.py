"""curvlinops' side: linear operators and their inverses; gradients are torch.func's.

Gradients of single examples are what its users write themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from curvlinops import (
    CGInverseLinearOperator,
    EKFACLinearOperator,
    FisherType,
    HessianLinearOperator,
    KFACInverseLinearOperator,
)
from curvlinops.examples import IdentityLinearOperator
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from benchmarks.estimators.problem import DAMPING, Problem

TOLERANCE = 1e-3


def _gradients(module: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor, target: Tensor) -> Tensor:
        output = functional_call(module, parameters, one.unsqueeze(0))
        return cross_entropy(output, target.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, targets)
    return torch.cat([value.flatten(1) for value in found.values()], dim=1)


def _call(
    solve: Callable[[tuple[object, ...], Tensor], Tensor], problem: Problem
) -> Callable[[], Tensor]:
    problem = problem.to(torch.float32)
    module = problem.module()
    parameters = list(module.parameters())
    data = [(problem.inputs, problem.targets)]
    arguments = (module, nn.CrossEntropyLoss(), parameters, data)

    def call() -> Tensor:
        rhs = _gradients(module, problem.test_inputs, problem.test_targets)
        solved = solve(arguments, rhs.T)
        return solved.T @ _gradients(module, problem.inputs, problem.targets).T

    return call


def _damped_hessian(arguments: tuple[object, ...]) -> object:
    hessian = HessianLinearOperator(*arguments, check_deterministic=False)
    shapes = [tuple(parameter.shape) for parameter in arguments[2]]
    return hessian + DAMPING * IdentityLinearOperator(shapes, hessian.device, hessian.dtype)


def _exact(arguments: tuple[object, ...], rhs: Tensor) -> Tensor:
    return torch.linalg.solve(_damped_hessian(arguments) @ torch.eye(len(rhs)), rhs)


def _cg(arguments: tuple[object, ...], rhs: Tensor) -> Tensor:
    return CGInverseLinearOperator(_damped_hessian(arguments), tolerance=TOLERANCE) @ rhs


def _ekfac(arguments: tuple[object, ...], rhs: Tensor) -> Tensor:
    factored = EKFACLinearOperator(
        *arguments,
        check_deterministic=False,
        fisher_type=FisherType.TYPE2,
        separate_weight_and_bias=False,
    )
    return KFACInverseLinearOperator(factored, damping=DAMPING, use_exact_damping=True) @ rhs


METHODS = {
    "exact": partial(_call, _exact),
    "cg": partial(_call, _cg),
    "ekfac": partial(_call, _ekfac),
}
