"""The answer that agreement is measured with: dense, in float64, by torch.autograd alone."""

from __future__ import annotations

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from benchmarks.estimators.problem import DAMPING, Problem


def dense_scores(problem: Problem) -> Tensor:
    """Returns grad f_t^T (H + damping I)^-1 grad l_i, shape (test, train).

    H is the Hessian of the mean loss, without penalty, a row at a time.
    """
    module = problem.module()
    shapes = {name: value.shape for name, value in module.named_parameters()}

    def losses(theta: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        parts = theta.split([shape.numel() for shape in shapes.values()])
        parameters = {
            name: part.reshape(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        return cross_entropy(
            functional_call(module, parameters, (inputs,)), targets, reduction="none"
        )

    def gradients(inputs: Tensor, targets: Tensor) -> Tensor:
        return torch.autograd.functional.jacobian(
            lambda theta: losses(theta, inputs, targets), problem.theta
        )

    hessian = torch.autograd.functional.hessian(
        lambda theta: losses(theta, problem.inputs, problem.targets).mean(), problem.theta
    )
    damped = hessian + DAMPING * torch.eye(len(hessian), dtype=hessian.dtype)
    tests = gradients(problem.test_inputs, problem.test_targets)
    return torch.linalg.solve(damped, tests.T).T @ gradients(problem.inputs, problem.targets).T


def agreement(scores: Tensor, reference: Tensor) -> float:
    """Returns the mean over test points of Spearman's correlation with the reference."""
    if not bool(torch.isfinite(scores).all()):
        return float("nan")
    pairs = zip(scores.numpy(), reference.numpy(), strict=True)
    return float(sum(spearmanr(a, b).statistic for a, b in pairs)) / len(scores)
