"""Means and variances of what a network with independent Gaussian weights computes, layer by layer.

Of every entry a mean and a variance are kept, entries taken as independent of each other. A layer
that is affine in its inputs has exact moments then; through anything else the variance goes to
first order, by the square of the slope at the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Affine = Callable[[Tensor, Tensor], Tensor]
"""A product of inputs and a weight, of a dense layer or a convolution, without bias."""

Pointwise = Callable[[Tensor], Tensor]


def affine_variance(
    product: Affine,
    mean: Tensor,
    variance: Tensor | None,
    weight: Tensor,
    weight_variance: Tensor,
) -> Tensor:
    """Returns the variances of a sum of products of independent weights and inputs.

    Var(sum_j w_j x_j) = sum_j v_j m_j^2 + (v_j + w_j^2) s_j for weights of mean w and variance v,
    inputs of mean m and variance s: exact, whatever the distributions are.

    Args:
        product: how inputs and a weight are multiplied and summed.
        mean: of the inputs, shape (n, ...).
        variance: of the inputs; None where they are certain.
        weight: means of the weights.
        weight_variance: their variances, of the same shape.
    """
    found = product(mean.square(), weight_variance)
    if variance is None:
        return found
    return found + product(variance, weight.square() + weight_variance)


def softmax_moments(
    mean: Tensor, variance: Tensor, *, off_diagonal: bool = True
) -> tuple[Tensor, Tensor]:
    """Returns means and variances (..., k) of the probabilities of logits with such moments.

    To first order, s_c = sum_d J_cd^2 v_d with J = diag(p) - p p^T. Without `off_diagonal` the
    other logits count as fixed: s_c = (p_c (1 - p_c))^2 v_c.
    """
    p = torch.softmax(mean, dim=-1)
    own = (p * (1 - p)).square() * variance
    if not off_diagonal:
        return p, own
    from_all = p.square() * (p.square() * variance).sum(dim=-1, keepdim=True)
    return p, own + from_all - p.square().square() * variance


def gaussian_loss(target: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Returns -log N(target; mean, diag(variance)) (...), of vectors (..., k).

    The constant (k/2) log 2 pi included: it is the density's own logarithm.
    """
    terms = (target - mean).square() / variance + torch.log(2 * torch.pi * variance)
    return 0.5 * terms.sum(dim=-1)


def _selu_slope(x: Tensor) -> Tensor:
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return torch.where(x > 0, scale, scale * alpha * torch.exp(x.clamp(max=0)))


def _gelu_slope(x: Tensor) -> Tensor:
    density = torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / 2**0.5)) + x * density


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _elu_slope(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), torch.exp(x.clamp(max=0)))


SLOPES: dict[type[nn.Module], Pointwise] = {
    nn.ReLU: lambda x: (x > 0).to(x.dtype),
    nn.Tanh: lambda x: 1 - torch.tanh(x).square(),
    nn.SELU: _selu_slope,
    nn.GELU: _gelu_slope,
    nn.Softplus: torch.sigmoid,
    nn.Sigmoid: lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)),
    nn.ELU: _elu_slope,
    nn.SiLU: _silu_slope,
}
"""First derivatives of the activations, written out so that they can be differentiated again."""
