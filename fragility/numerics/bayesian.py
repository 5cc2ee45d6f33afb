"""Losses on means and variances of outputs, and the penalties that pull weights to their prior.

Outputs (..., 2 k) are k means, of logits or of values, and then their variances.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional

from fragility.errors import MethodFailure
from fragility.numerics.losses import CROSS_ENTROPY, SQUARED_ERROR, Loss, cross_entropy
from fragility.numerics.moments import gaussian_loss, softmax_moments
from fragility.numerics.penalties import PenaltyForm

CLAMP = 88.0
"""Largest variance of the published loss; above it, softplus would overflow in float32."""

_AS_PUBLISHED = "likelihood as published"


def means(outputs: Tensor) -> Tensor:
    """Returns the means (..., k)."""
    return outputs.chunk(2, dim=-1)[0]


def predicted_moments(
    outputs: Tensor, task: str, *, off_diagonal: bool = True
) -> tuple[Tensor, Tensor]:
    """Returns means and variances of the probabilities of classes, or of the values."""
    mean, variance = outputs.chunk(2, dim=-1)
    if task != "classification":
        return mean, variance
    return softmax_moments(mean, variance, off_diagonal=off_diagonal)


def _as_vectors(outputs: Tensor, targets: Tensor, task: str) -> Tensor:
    """Returns targets as vectors of what is predicted: of classes, 1 at the right one."""
    if task != "classification":
        return targets
    classes = torch.arange(outputs.shape[-1] // 2, device=targets.device)
    return (targets.unsqueeze(-1) == classes).to(outputs.dtype)


def _expected(
    outputs: Tensor, targets: Tensor, *, task: str, noise: float, off_diagonal: bool
) -> Tensor:
    mean, variance = predicted_moments(outputs, task, off_diagonal=off_diagonal)
    return gaussian_loss(_as_vectors(outputs, targets, task), mean, variance + noise)


def _published(
    outputs: Tensor, targets: Tensor, *, task: str, log_determinant: float, off_diagonal: bool
) -> Tensor:
    mean, variance = predicted_moments(outputs, task, off_diagonal=off_diagonal)
    floored = functional.softplus(variance.clamp(0, CLAMP))
    errors = (_as_vectors(outputs, targets, task) - mean).square()
    mixed = errors.mean(dim=-1) * floored.reciprocal().mean(dim=-1)
    return mixed + log_determinant * floored.log().sum(dim=-1)


def _not_convex(*_: object) -> NoReturn:
    raise MethodFailure(
        "the Gauss-Newton and the Fisher matrix need a loss that is convex in the outputs, and the "
        "likelihood of a Bayesian network is not: it falls with a variance, then rises.",
        "Use `curvature: hessian` or `empirical_fisher`, and a `damping` that is a number.",
    )


@lru_cache(maxsize=256)
def expected_loss(task: str, noise: float, off_diagonal: bool) -> Loss:
    """Returns -log N(target; m, diag(s) + noise I) of the predicted moments m and s.

    Of probabilities, with the softmax taken to first order, for classes.
    """
    loss = partial(_expected, task=task, noise=noise, off_diagonal=off_diagonal)
    refused = (_not_convex, _not_convex, _not_convex)
    return Loss("gaussian likelihood", loss, *refused, predicted=means, convex=False)


@lru_cache(maxsize=256)
def published_loss(task: str, log_determinant: float, off_diagonal: bool) -> Loss:
    """Returns the loss in the code of Epifano et al.

    mean_cd[(y_c - p_c)^2 / s_d] + a sum_d log s_d, s the softplus of the variance: every class's
    error meets every class's variance, there is no 1/2, and no variance is below log 2.
    """
    loss = partial(
        _published, task=task, log_determinant=log_determinant, off_diagonal=off_diagonal
    )
    refused = (_not_convex, _not_convex, _not_convex)
    return Loss(_AS_PUBLISHED, loss, *refused, predicted=means, convex=False)


def with_log_determinant(loss: Loss, factor: float) -> Loss:
    """Returns the published loss with another factor of an example's log-determinant.

    Raises:
        MethodFailure: the loss is another.
    """
    if loss.name != _AS_PUBLISHED:
        raise MethodFailure(
            f"the model is trained by a {loss.name}, which has no log-determinant to weigh.",
            "Remove `log_determinant` from `departures`.",
        )
    assert isinstance(loss.per_example, partial)
    return replace(loss, per_example=partial(loss.per_example, log_determinant=factor))


def _twice(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(torch.softmax(means(outputs), dim=-1), targets)


@lru_cache(maxsize=8)
def loss_of_means(task: str, *, twice: bool = False) -> Loss:
    """Returns the loss of the means alone, cross-entropy or squared error.

    With `twice`, the cross-entropy takes the probabilities for logits.
    """
    if twice and task == "classification":
        name = "cross_entropy of softmax twice"
        refused = (_not_convex, _not_convex, _not_convex)
        return Loss(name, _twice, *refused, predicted=means, convex=False)
    loss = CROSS_ENTROPY if task == "classification" else SQUARED_ERROR

    def padded(matrices: Tensor) -> Tensor:
        size = matrices.shape[-1]
        return functional.pad(matrices, (0, size, 0, size))

    return Loss(
        f"{loss.name} of the means",
        lambda outputs, targets: loss.per_example(means(outputs), targets),
        lambda outputs: padded(loss.output_curvature(means(outputs))),
        lambda outputs: padded(loss.curvature_roots(means(outputs))),
        lambda outputs, generator: loss.sample(means(outputs), generator),
        predicted=means,
    )


def _share(rho: Tensor) -> Tensor:
    """Returns the derivative of log softplus, which tends to 1 where softplus underflows."""
    far = rho < -30
    ratio = torch.sigmoid(rho) / functional.softplus(rho.clamp(min=-30))
    return torch.where(far, torch.ones_like(rho), ratio)


def _variance_value(rho: Tensor) -> Tensor:
    variance = functional.softplus(rho)
    log = torch.where(rho < -30, rho, functional.softplus(rho.clamp(min=-30)).log())
    return 0.5 * (variance - 1 - log)


def _variance_slope(rho: Tensor) -> Tensor:
    return 0.5 * (torch.sigmoid(rho) - _share(rho))


def _variance_bend(rho: Tensor) -> Tensor:
    s, share = torch.sigmoid(rho), _share(rho)
    return 0.5 * (s * (1 - s) - share * (1 - s - share))


PRIOR_OF_MEANS = PenaltyForm(
    "half the square of a mean", lambda x: 0.5 * x.square(), lambda x: x, torch.ones_like
)
"""The part of KL(N(m, v) || N(0, 1)) that the mean m has: m^2 / 2."""

PRIOR_OF_VARIANCES = PenaltyForm(
    "divergence of a variance", _variance_value, _variance_slope, _variance_bend
)
"""The part of it that the variance v = softplus(rho) has, (v - 1 - log v) / 2, in rho."""
