"""Augmentation of images."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import NonNegativeInt, model_validator

from fragility.numerics.noise import Noise
from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training


class Augmentation(Regularizer):
    """In every training step cuts images at random from their padded selves, and mirrors some.

    The padding is of zeros, after normalization. Draws are made for every step and example, the
    same for a base model and its retrainings. Base model, retrained models and scores are all
    evaluated on the images as they are.

    What training descends is the mean of the objective over crops and flips; influence is taken for
    the images as they are, and the run says so.

    Valid when: as a question: removing an image removes all that would have been made of it.
    Cost: a copy of the images of a step; no frozen prefix is cached.
    """

    departure: ClassVar[str | None] = (
        "training descends the objective's mean over crops and flips, and influence is taken for "
        "the images as they are"
    )

    kind: Literal["augmentation"] = "augmentation"
    crop: NonNegativeInt = 0
    """Zeros around an image, from which a window of its own size is cut."""
    flip: bool = False
    """Whether each image is mirrored left to right with a chance of one half."""

    @model_validator(mode="after")
    def _does_something(self) -> Augmentation:
        if not self.crop and not self.flip:
            raise ValueError("`augmentation` needs a `crop` above 0, or `flip: true`")
        return self

    def noise(self, noise: Noise) -> Noise:
        """Returns the noise with crops and flips."""
        return replace(noise, crop=self.crop, flip=self.flip)

    def objection(self, training: Training) -> str | None:
        """Returns why a training cannot take noise."""
        return first_order_only("`augmentation`", training)

    def refusal(self, task: str, input_shape: tuple[int, ...]) -> str | None:
        """Returns why what is no image cannot be cropped or mirrored."""
        if len(input_shape) == 3:
            return None
        return "`augmentation` is for images, and an example of this dataset is none."
