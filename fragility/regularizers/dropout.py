"""Dropout."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fragility.numerics.noise import Noise
from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training


class Dropout(Regularizer):
    """In every training step sets a share `rate` of the hidden units to 0, the rest up in turn.

    Masked are the units of hidden affine layers, after their activation; convolutions are not.
    Masks are drawn for every step and example, the same for a base model and its retrainings. Base
    model, retrained models and scores are all evaluated without masks.

    What training descends is the mean of the objective over masks; influence is taken for the
    objective without masks, and the run says so.

    Valid when: as a question: influence functions assume an objective without noise.
    Cost: the masks of a step; nothing is cached in front of a masked layer.
    Reference: Srivastava et al. 2014.
    """

    departure: ClassVar[str | None] = (
        "training descends the objective's mean over dropout masks, and influence is taken for the "
        "network without masks"
    )

    kind: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(ge=0, lt=1)]
    """Share of the units that are set to 0."""
    layers: Literal["hidden", "last_hidden"] = "hidden"
    """Every hidden affine layer, or the one before the outputs alone."""

    def noise(self, noise: Noise) -> Noise:
        """Returns the noise with masks."""
        return replace(noise, dropout=self.rate, last_only=self.layers == "last_hidden")

    def objection(self, training: Training) -> str | None:
        """Returns why a training cannot take noise."""
        return first_order_only("`dropout`", training)
