"""Measurables: what of a test example is predicted and measured, as a function of its loss.

A cross-entropy is -log p of the right class, and a squared error is the square of the error, so
that each measurable and its derivative follow from the loss alone: what was stored of a retraining
serves them all, and a score of the loss becomes one of the measurable by the derivative at the
base model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Measurable = Literal["loss", "margin", "probability", "absolute_error"]

TASKS: dict[Measurable, str] = {
    "margin": "classification",
    "probability": "classification",
    "absolute_error": "regression",
}
"""The only task that a measurable is defined for; `loss` is for all."""


def measured(losses: Values, measurable: Measurable) -> Values:
    """Returns the measurable for each loss, of any shape.

    `margin`: log(p / (1 - p)) for the probability p = exp(-loss) of the right class (Park et al.
    2023, section 3.1), infinite where p is 1; `probability`: p; `absolute_error`: the root of a
    squared error.
    """
    if measurable == "margin":
        with np.errstate(divide="ignore"):
            # log(expm1(x)) = x + log(1 - exp(-x)), which does not overflow.
            return np.asarray(-(losses + np.log(-np.expm1(-losses))))
    if measurable == "probability":
        return np.exp(-losses)
    return np.sqrt(losses) if measurable == "absolute_error" else losses


def derivative(losses: Values, measurable: Measurable) -> Values:
    """Returns the derivative of the measurable in the loss; infinite where it has none."""
    with np.errstate(divide="ignore"):
        if measurable == "margin":
            return np.asarray(1 / np.expm1(-losses))
        if measurable == "probability":
            return -np.exp(-losses)
        if measurable == "absolute_error":
            return 0.5 / np.sqrt(losses)
    return np.ones_like(losses)
