"""Losses and penalties of Bayesian networks against torch's distributions and autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional

from fragility.errors import MethodFailure
from fragility.numerics.bayesian import (
    PRIOR_OF_MEANS,
    PRIOR_OF_VARIANCES,
    expected_loss,
    loss_of_means,
    published_loss,
)
from fragility.numerics.losses import CROSS_ENTROPY, SQUARED_ERROR
from fragility.numerics.moments import softmax_moments


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


OUTPUTS = draws(6, 5, 6)
OUTPUTS[:, 3:] = OUTPUTS[:, 3:].square()
CLASSES = torch.tensor([0, 2, 1, 1, 0])


def test_the_likelihood_is_torch_s() -> None:
    p, s = softmax_moments(OUTPUTS[:, :3], OUTPUTS[:, 3:])
    one_hot = functional.one_hot(CLASSES, 3).double()
    expected = -Normal(p, (s + 0.02).sqrt()).log_prob(one_hot).sum(dim=1)
    found = expected_loss("classification", 0.02, True).per_example(OUTPUTS, CLASSES)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    numbers = draws(7, 5, 3)
    expected = -Normal(OUTPUTS[:, :3], (OUTPUTS[:, 3:] + 0.02).sqrt()).log_prob(numbers).sum(dim=1)
    found = expected_loss("regression", 0.02, True).per_example(OUTPUTS, numbers)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    stacked = torch.stack([OUTPUTS, 2 * OUTPUTS])
    loss = expected_loss("classification", 0.02, True)
    torch.testing.assert_close(
        loss.per_example(stacked, CLASSES)[1], loss.per_example(2 * OUTPUTS, CLASSES)
    )


def test_the_published_loss_is_its_matrices_over_n() -> None:
    """As written in their code: a matrix product over the examples, and a mean of logarithms."""
    alpha, n = 0.1, len(CLASSES)
    p, sigma = softmax_moments(OUTPUTS[:, :3], OUTPUTS[:, 3:], off_diagonal=False)
    sigma = torch.log1p(torch.exp(torch.clamp(sigma, 0, 88)))
    one_hot = functional.one_hot(CLASSES, 3).double()
    nll = ((one_hot - p).square().T @ (1 / sigma)).mean()
    log_det = sigma.prod(dim=1).log().mean()
    found = published_loss("classification", alpha / n, False).per_example(OUTPUTS, CLASSES)
    torch.testing.assert_close(found.mean(), (alpha * log_det + nll) / n, rtol=1e-12, atol=0)


def test_losses_of_means_read_means_alone() -> None:
    expected = functional.cross_entropy(OUTPUTS[:, :3], CLASSES, reduction="none")
    loss = loss_of_means("classification")
    torch.testing.assert_close(loss.per_example(OUTPUTS, CLASSES), expected)
    twice = functional.cross_entropy(
        torch.softmax(OUTPUTS[:, :3], dim=1), CLASSES, reduction="none"
    )
    found = loss_of_means("classification", twice=True).per_example(OUTPUTS, CLASSES)
    torch.testing.assert_close(found, twice)
    numbers = draws(7, 5, 3)
    found = loss_of_means("regression").per_example(OUTPUTS, numbers)
    torch.testing.assert_close(found, SQUARED_ERROR.per_example(OUTPUTS[:, :3], numbers))

    def of_one(one: Tensor) -> Tensor:
        return loss.per_example(one.unsqueeze(0), CLASSES[:1]).squeeze()

    hessian = torch.autograd.functional.hessian(of_one, OUTPUTS[0])
    torch.testing.assert_close(loss.output_curvature(OUTPUTS)[0], hessian)
    roots = loss.curvature_roots(OUTPUTS)[0]
    torch.testing.assert_close(roots @ roots.T, hessian)
    generator = torch.Generator().manual_seed(0)
    drawn = loss.sample(OUTPUTS[:1].expand(20_000, 6), generator)
    shares = torch.bincount(drawn, minlength=3) / 20_000
    chances = Categorical(logits=OUTPUTS[0, :3]).probs
    torch.testing.assert_close(shares.double(), chances, rtol=0, atol=0.01)
    assert loss.name != CROSS_ENTROPY.name


def test_a_likelihood_of_moments_has_no_gauss_newton_matrix() -> None:
    loss = expected_loss("classification", 0.01, True)
    for of_outputs in (loss.output_curvature, loss.curvature_roots):
        with pytest.raises(MethodFailure, match="convex in the outputs"):
            of_outputs(OUTPUTS)
    # It has no positive curvature in a variance far above the error.
    variance = torch.tensor([0.0, 0.0, 0.0, 5.0, 5.0, 5.0], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(
        lambda one: loss.per_example(one.unsqueeze(0), CLASSES[:1]).squeeze(), variance
    )
    assert float(torch.linalg.eigvalsh(hessian)[0]) < -1e-3


@pytest.mark.parametrize("rho", [-60.0, -35.0, -5.0, -0.3, 0.0, 2.0, 30.0])
def test_the_penalties_are_the_divergence_from_the_prior(rho: float) -> None:
    mean, at = torch.tensor(0.7).double(), torch.tensor(rho).double().requires_grad_()
    form = PRIOR_OF_VARIANCES
    variance = torch.special.log1p(torch.exp(at))
    expected = kl_divergence(
        Normal(mean, variance.sqrt()), Normal(torch.zeros(()).double(), torch.ones(()).double())
    )
    torch.testing.assert_close(PRIOR_OF_MEANS.value(mean) + form.value(at), expected)
    (slope,) = torch.autograd.grad(expected, at, create_graph=True)
    (bend,) = torch.autograd.grad(slope, at)
    torch.testing.assert_close(form.slope(at), slope, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(form.bend(at), bend, rtol=1e-5, atol=1e-8)
    assert PRIOR_OF_MEANS.slope(mean) == mean
    assert PRIOR_OF_MEANS.bend(mean) == 1
    far = torch.tensor([-300.0, -90.0, 200.0])
    found: list[Callable[[Tensor], Tensor]] = [form.value, form.slope, form.bend]
    assert all(bool(torch.isfinite(of(far)).all()) for of in found)
