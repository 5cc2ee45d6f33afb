"""An L1 penalty."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat

from fragility.numerics.network import Layout
from fragility.numerics.penalties import Penalty, smooth_absolute
from fragility.regularizers.base import Regularizer
from fragility.training import Training
from fragility.training.newton import Newton


class L1(Regularizer):
    """Adds strength x sum |theta| to the mean loss, smooth near 0.

    |x| is taken as sqrt(x^2 + width^2) - width: twice differentiable, so that influence is taken
    for exactly the objective that is trained; its curvature, strength / width at 0 and nearly none
    beyond a few widths, is part of the objective's. With `width: 0` there is a kink at 0, where the
    gradient takes 0 as the slope; gradient descent oscillates about it, and influence, which counts
    no curvature, is then not that of the trained point: the run says so.

    Valid when: the width is small against the weights that matter and large against a step.
    Cost: none.
    Reference: Tibshirani 1996; the smooth form is the pseudo-Huber function.
    """

    of_objective: ClassVar[bool] = True
    per_model: ClassVar[bool] = True

    kind: Literal["l1"] = "l1"
    strength: NonNegativeFloat
    """Strength s of s x sum |theta|."""
    width: NonNegativeFloat = 1e-3
    """Distance from 0 within which |x| is rounded off; 0: not at all."""
    parameters: Literal["all", "weights"] = "weights"
    """`all` parameters with their biases, or `weights` alone (parameters of two or more axes)."""

    def penalties(self, layout: Layout) -> tuple[Penalty, ...]:
        """Returns the penalty of every parameter it is put on."""
        strengths = {
            name: self.strength
            for name, shape in zip(layout.names, layout.shapes, strict=True)
            if self.parameters == "all" or len(shape) > 1
        }
        return (Penalty(smooth_absolute(self.width), strengths),)

    @property
    def departs(self) -> str | None:
        """What a kink does to influence."""
        if self.width > 0:
            return None
        return (
            "the L1 penalty has a kink at 0, whose curvature no influence function counts: weights "
            "that it holds at 0 would stay there when an example is removed"
        )

    def objection(self, training: Training) -> str | None:
        """Returns why Newton's method cannot take a kink."""
        if isinstance(training, Newton) and self.width == 0:
            return (
                "`l1` with `width: 0` has a kink, which Newton's method cannot take; round it off."
            )
        return None
