"""The losses, per example, with the curvature of each with respect to the model's outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fragility.errors import UsageError


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns -log softmax(outputs)[target], shape (..., n) for outputs (..., n, classes)."""
    # Examples along the last axis, as stacks have them: the classes are few.
    log_probabilities = torch.log_softmax(outputs.transpose(-1, -2), dim=-2)
    index = targets.expand(outputs.shape[:-1]).unsqueeze(-2)
    return -log_probabilities.gather(-2, index).squeeze(-2)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns sum over outputs of (prediction - target)^2, without 1/2; shape (..., n)."""
    return (outputs - targets).square().sum(dim=-1)


def _with_diagonal(diagonal: Tensor, elsewhere: Tensor) -> Tensor:
    off = 1 - torch.eye(diagonal.shape[-1], dtype=diagonal.dtype, device=diagonal.device)
    return torch.diag_embed(diagonal) + elsewhere * off


def _of_others(p: Tensor) -> Tensor:
    """Returns 1 - p as the sum of the other probabilities, to full precision where p is near 1.

    Else the curvature of a confident model would be rounding, with negative eigenvalues.
    """
    return p @ (1 - torch.eye(p.shape[-1], dtype=p.dtype, device=p.device))


def _cross_entropy_curvature(outputs: Tensor) -> Tensor:
    # diag(p) - p p^T
    p = torch.softmax(outputs, dim=-1)
    return _with_diagonal(p * _of_others(p), -p.unsqueeze(-1) * p.unsqueeze(-2))


def _cross_entropy_roots(outputs: Tensor) -> Tensor:
    # Column j is the gradient at label j, times the root of its probability and -1.
    p = torch.softmax(outputs, dim=-1)
    roots = p.sqrt()
    return _with_diagonal(roots * _of_others(p), -p.unsqueeze(-1) * roots.unsqueeze(-2))


def _squared_error_curvature(outputs: Tensor) -> Tensor:
    size = outputs.shape[-1]
    eye = 2 * torch.eye(size, dtype=outputs.dtype, device=outputs.device)
    return eye.expand(*outputs.shape[:-1], size, size)


def _squared_error_roots(outputs: Tensor) -> Tensor:
    return _squared_error_curvature(outputs).sqrt()


def _sample_class(outputs: Tensor, generator: torch.Generator) -> Tensor:
    probabilities = torch.softmax(outputs, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


def _sample_value(outputs: Tensor, generator: torch.Generator) -> Tensor:
    # The loss is the negative log-likelihood of a normal distribution of variance 1/2.
    noise = torch.randn(
        outputs.shape, generator=generator, dtype=outputs.dtype, device=outputs.device
    )
    return outputs + noise / 2**0.5


def _all(outputs: Tensor) -> Tensor:
    return outputs


@dataclass(frozen=True)
class Loss:
    """A loss, its curvature, and the distribution whose negative log-likelihood it is.

    `per_example(outputs (..., n, k), targets)` gives (..., n); `output_curvature(outputs)` gives
    the Hessian of each example's loss in its outputs, (..., n, k, k); `curvature_roots(outputs)`
    gives R (..., n, k, k) with R R^T = that; `sample(outputs (n, k), generator)` draws a target for
    each example. `predicted(outputs)` gives the logits or values (..., n, k) that a class or number
    is decided by, where outputs hold more than these. A loss that is not `convex` in its outputs
    has no Gauss-Newton matrix: its curvature and roots raise a MethodFailure.
    """

    name: str
    per_example: Callable[[Tensor, Tensor], Tensor]
    output_curvature: Callable[[Tensor], Tensor]
    curvature_roots: Callable[[Tensor], Tensor]
    sample: Callable[[Tensor, torch.Generator], Tensor]
    predicted: Callable[[Tensor], Tensor] = _all
    convex: bool = True


CROSS_ENTROPY = Loss(
    "cross_entropy", cross_entropy, _cross_entropy_curvature, _cross_entropy_roots, _sample_class
)
SQUARED_ERROR = Loss(
    "squared_error", squared_error, _squared_error_curvature, _squared_error_roots, _sample_value
)


def smoothed(loss: Loss, rate: float) -> Loss:
    """Returns the cross-entropy to a target of 1 - rate, and rate spread over all classes.

    The curvature in the outputs stays what it is: the target enters the gradient alone. The loss is
    no negative log-likelihood of one label; `sample` still draws the model's own.

    Raises:
        UsageError: the loss is another.
    """
    if loss.name != CROSS_ENTROPY.name:
        raise UsageError(
            f"labels are smoothed in a cross-entropy, and this model is trained by a {loss.name}.",
            "Leave out `label_smoothing`, or use another model.",
        )

    def per_example(outputs: Tensor, targets: Tensor) -> Tensor:
        logs = torch.log_softmax(outputs.transpose(-1, -2), dim=-2)
        return (1 - rate) * loss.per_example(outputs, targets) - rate * logs.mean(dim=-2)

    return replace(loss, name=f"{loss.name} smoothed by {rate:g}", per_example=per_example)


def loss_for(task: str) -> Loss:
    """Returns cross-entropy for classification and squared error for regression."""
    return CROSS_ENTROPY if task == "classification" else SQUARED_ERROR


def accuracy(outputs: Tensor, targets: Tensor, task: str) -> float | None:
    """Returns the share of right classes, or None for regression."""
    if task != "classification":
        return None
    return float((outputs.argmax(dim=-1) == targets).double().mean())
