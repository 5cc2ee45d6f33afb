"""Measurables as functions of the loss, against torch's own softmax and automatic derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fragility.numerics.losses import cross_entropy
from fragility.numerics.measurables import Measurable, derivative, measured

RIGHT = torch.tensor([0, 2, 1, 1])


def _probability(logits: Tensor) -> Tensor:
    return torch.softmax(logits, dim=1)[torch.arange(len(RIGHT)), RIGHT]


def _margin(logits: Tensor) -> Tensor:
    others = logits.clone()
    others[torch.arange(len(RIGHT)), RIGHT] = -torch.inf
    return logits[torch.arange(len(RIGHT)), RIGHT] - others.logsumexp(dim=1)


@pytest.mark.parametrize(
    ("measurable", "written_out"), [("margin", _margin), ("probability", _probability)]
)
def test_value_and_gradient_follow_from_the_loss(
    measurable: Measurable, written_out: Callable[[Tensor], Tensor]
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    losses = cross_entropy(logits, RIGHT)
    expected = written_out(logits)
    found = measured(losses.detach().numpy(), measurable)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-10)
    (of_loss,) = torch.autograd.grad(losses.sum(), logits, retain_graph=True)
    (of_measurable,) = torch.autograd.grad(expected.sum(), logits)
    factor = derivative(losses.detach().numpy(), measurable)[:, None]
    np.testing.assert_allclose(factor * of_loss.numpy(), of_measurable.numpy(), rtol=1e-8)


def test_absolute_error_is_the_root_of_the_squared_error() -> None:
    errors = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    losses = errors.square()
    (of_loss,) = torch.autograd.grad(losses.sum(), errors)
    values = losses.detach().numpy()
    np.testing.assert_allclose(measured(values, "absolute_error"), [2, 0.5, 3])
    slopes = derivative(values, "absolute_error") * of_loss.numpy()
    np.testing.assert_allclose(slopes, np.sign(errors.detach().numpy()))


@given(st.floats(min_value=1e-12, max_value=600))
def test_margin_is_the_logit_of_the_probability(loss: float) -> None:
    (margin,) = measured(np.array([loss]), "margin")
    # p / (1 - p) = 1 / (exp(loss) - 1)
    assert np.isclose(margin, -np.log(np.expm1(loss)), rtol=1e-9, atol=1e-9)


def test_margin_has_no_overflow_and_no_end() -> None:
    values = measured(np.array([0.0, 1e4]), "margin")
    assert values[0] == np.inf
    assert values[1] == -1e4
