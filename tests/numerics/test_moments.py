"""Moment propagation against enumeration, sampling and autograd."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fragility.numerics.moments import SLOPES, affine_variance, softmax_moments


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_variances_of_a_dense_layer_are_those_of_all_sign_patterns() -> None:
    """Weights and inputs that take mean +- deviation with equal chance: 64 cases, no sampling."""
    mean, weight = draws(0, 1, 3), draws(1, 1, 3)
    variance, spread = draws(2, 1, 3).square(), draws(3, 1, 3).square()
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    inputs = mean + signs[:, :3] * variance.sqrt()
    weights = weight + signs[:, 3:] * spread.sqrt()
    expected = (inputs * weights).sum(dim=1).var(unbiased=False)
    found = affine_variance(functional.linear, mean, variance, weight, spread)
    torch.testing.assert_close(found.squeeze(), expected, rtol=1e-12, atol=0)
    certain = affine_variance(functional.linear, mean, None, weight, spread)
    expected = (mean * weights[:8]).sum(dim=1).var(unbiased=False)
    torch.testing.assert_close(certain.squeeze(), expected, rtol=1e-12, atol=0)


def test_variances_of_a_convolution_are_those_of_sampled_weights_and_inputs() -> None:
    mean, variance = draws(0, 1, 2, 5, 4), 0.5 * draws(1, 1, 2, 5, 4).square()
    weight, spread = draws(2, 3, 2, 3, 3), 0.3 * draws(3, 3, 2, 3, 3).square()
    convolution = partial(functional.conv2d, stride=2, padding=1)
    found = affine_variance(convolution, mean, variance, weight, spread)[0]
    size = 20_000
    inputs = mean + variance.sqrt() * draws(4, size, 2, 5, 4)
    weights = weight + spread.sqrt() * draws(5, size, 3, 2, 3, 3)
    samples = convolution(
        inputs.reshape(1, 2 * size, 5, 4), weights.reshape(3 * size, 2, 3, 3), groups=size
    ).reshape(size, *found.shape)
    from_mean = samples - samples.mean(dim=0)
    expected = from_mean.square().mean(dim=0)
    error = (from_mean.square() - expected).square().mean(dim=0).sqrt() / size**0.5
    assert float((error / expected).max()) < 0.03
    assert float(((found - expected) / error).abs().max()) < 4


@pytest.mark.parametrize("layer", SLOPES, ids=lambda layer: layer.__name__)
def test_slopes_are_autograd_s(layer: type[nn.Module]) -> None:
    # Beyond 20 torch's softplus is the identity.
    x = torch.linspace(-19, 19, 401, dtype=torch.float64).add(0.01).requires_grad_()
    value, slope = layer()(x), SLOPES[layer](x)
    (expected,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-15)
    if expected.requires_grad and slope.requires_grad:
        (bend,) = torch.autograd.grad(expected.sum(), x, allow_unused=True)
        (own,) = torch.autograd.grad(slope.sum(), x)
        torch.testing.assert_close(own, bend, rtol=1e-9, atol=1e-14)


def jacobian_of_softmax(mean: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(partial(torch.softmax, dim=-1), mean)


def test_softmax_variances_come_from_its_jacobian() -> None:
    mean, variance = draws(0, 4), draws(1, 4).square()
    jacobian = jacobian_of_softmax(mean)
    p, found = softmax_moments(mean, variance)
    torch.testing.assert_close(p, torch.softmax(mean, dim=-1), rtol=1e-14, atol=0)
    full = jacobian @ torch.diag(variance) @ jacobian.T
    torch.testing.assert_close(found, full.diagonal(), rtol=1e-12, atol=0)
    _, own = softmax_moments(mean, variance, off_diagonal=False)
    torch.testing.assert_close(own, jacobian.diagonal().square() * variance, rtol=1e-12, atol=0)


def test_softmax_variances_err_in_second_order_only() -> None:
    """Against Gauss-Hermite quadrature over two logits, whose error is far below."""
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(41))
    weights = weights / weights.sum()
    mean, variance = torch.tensor([0.3, -0.5]).double(), torch.tensor([1.0, 0.4]).double()

    def relative_error(scale: float) -> float:
        logits = mean + (scale * variance).sqrt() * torch.cartesian_prod(nodes, nodes)
        chance = torch.cartesian_prod(weights, weights).prod(dim=1)
        p = torch.softmax(logits, dim=-1)[:, 0]
        exact = (chance * p.square()).sum() - (chance * p).sum().square()
        return float(softmax_moments(mean, scale * variance)[1][0] / exact - 1)

    errors = [relative_error(scale) for scale in (0.08, 0.04, 0.02)]
    assert abs(errors[0]) < 0.1
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.05)
