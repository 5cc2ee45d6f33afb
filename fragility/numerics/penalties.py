"""Penalties on single coordinates, beyond L2: a form, and its strength at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

Elementwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PenaltyForm:
    """A function of one coordinate with its first and second derivative, each elementwise."""

    name: str
    value: Elementwise
    slope: Elementwise
    bend: Elementwise


@dataclass(frozen=True)
class Penalty:
    """A form with its strength for each parameter by name, 0 where a name is missing."""

    form: PenaltyForm
    strengths: Mapping[str, float]


@dataclass(frozen=True)
class Term:
    """The penalty sum_p s_kp form(theta_kp) of K models; `strength` is (K, P)."""

    form: PenaltyForm
    strength: Tensor

    def value(self, theta: Tensor) -> Tensor:
        """Returns the penalty (K,) at theta (K, P)."""
        return (self.strength * self.form.value(theta)).sum(dim=1)

    def slope(self, theta: Tensor) -> Tensor:
        """Returns its gradient (K, P)."""
        return self.strength * self.form.slope(theta)

    def select(self, index: Tensor | slice) -> Term:
        """Returns the term of some of the models."""
        return Term(self.form, self.strength[index])


@lru_cache(maxsize=64)
def smooth_absolute(width: float) -> PenaltyForm:
    """Returns sqrt(x^2 + width^2) - width, which is |x| beyond a few widths; width 0 is |x|.

    Its second derivative, 1/width at 0, is 0 everywhere for width 0: there is a kink instead.
    """
    if width == 0:
        return PenaltyForm("absolute", torch.abs, torch.sign, torch.zeros_like)

    def root(x: Tensor) -> Tensor:
        return torch.hypot(x, torch.full_like(x, width))

    return PenaltyForm(
        f"absolute, smooth within {width:g}",
        lambda x: root(x) - width,
        lambda x: x / root(x),
        lambda x: width**2 / root(x) ** 3,
    )
