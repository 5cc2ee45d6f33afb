"""The curvature of cross-entropy where a model is sure, against its closed form for two classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fragility.models.linear import Linear
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.spectrum import Spectrum
from fragility.regularizers.none import NoRegularization
from tests.problems import trained, with_parameters


@pytest.mark.parametrize("gap", [0.0, 5.0, 36.0, 60.0, 300.0])
def test_a_sure_models_curvature_keeps_its_digits(gap: float) -> None:
    # p q = e^-d / (1 + e^-d)^2 for the difference d of two outputs.
    expected = math.exp(-gap) / (1 + math.exp(-gap)) ** 2
    outputs = torch.tensor([[gap, 0.0], [0.0, gap]], dtype=torch.float64)
    found = CROSS_ENTROPY.output_curvature(outputs)
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected * signs.expand(2, 2, 2), rtol=1e-13, atol=0)
    roots = CROSS_ENTROPY.curvature_roots(outputs)
    torch.testing.assert_close(roots @ roots.mT, found, rtol=1e-13, atol=0)


def test_elsewhere_it_is_the_second_derivative() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    found = CROSS_ENTROPY.output_curvature(outputs)
    for k, one in enumerate(outputs):
        target = torch.tensor([k % 4])
        expected = torch.autograd.functional.hessian(
            lambda x, t=target: CROSS_ENTROPY.per_example(x.unsqueeze(0), t).sum(), one
        )
        torch.testing.assert_close(found[k], expected, rtol=1e-12, atol=1e-15)


def test_logistic_regression_has_no_negative_eigenvalue_however_sure_it_is() -> None:
    model = trained(Linear(), "classification", NoRegularization(), n=20)
    sure = with_parameters(model, 30 * model.vector(model.network.layout))
    spectrum = Spectrum(sure)
    values = spectrum.values(True)
    assert np.abs(values).max() > 0
    assert spectrum.negative(True) == 0
