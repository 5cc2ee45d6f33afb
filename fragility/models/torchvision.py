"""The classifiers of torchvision."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, field_validator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragility.errors import DataError, did_you_mean
from fragility.models._checks import checked
from fragility.models._layers import Normalization, image_shape, normalized
from fragility.models.base import Model
from fragility.numerics.network import Network


class Torchvision(Model):
    """A classifier of torchvision by its name, untrained: `resnet18`, `mobilenet_v2`, `vgg11`.

    Batch normalization makes an example's loss depend on the others of its batch: in the place of
    each stands another with as many parameters, as `normalization` says; see `resnet`. Dropout and
    stochastic depth are off, in training too. The networks are made for images of 224 x 224; for
    those of 32 x 32 see `resnet` and `vgg`.

    Valid when: examples are images with 3 channels, large enough for the network, and torch has
        second derivatives of its operations: not of `mobilenet_v3_small`'s activations nor of a
        vision transformer's attention. ReLU has kinks, and so have maxima. Weights are drawn anew:
        none that were trained elsewhere are loaded.
    Cost: that of torchvision's table, in proportion to the images' size.
    Reference: torchvision.models; Wu and He 2018 (group normalization).
    """

    kind: Literal["torchvision"] = "torchvision"
    name: str
    """torchvision's name of the network."""
    normalization: Literal["group", "batch"] = "group"
    """In the place of batch normalization: `group` normalizes each example's channels group by
    group; `batch` gives each channel mean 0 and variance 1 over training examples once, at the
    initial values."""
    groups: PositiveInt = 32
    """Most groups of channels; taken is the largest number up to it that divides them evenly."""

    @field_validator("name")
    @classmethod
    def _is_there(cls, name: str) -> str:
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise ValueError(
                f"torchvision has no classifier `{name}`.{did_you_mean(name, known)} "
                "`torchvision.models.list_models()` lists them"
            )
        return name

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns torchvision's network with other normalization."""
        from torchvision import models

        channels, _, _ = image_shape(self.kind, input_shape, 1)
        # Two networks warn of values that are drawn otherwise unless this is said.
        drawn = {"init_weights": True} if self.name in ("googlenet", "inception_v3") else {}
        module: nn.Module = models.get_model(self.name, weights=None, num_classes=outputs, **drawn)
        first = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
        if first.in_channels != channels:
            raise DataError(
                f"`{self.name}` reads images with {first.in_channels} channels, and those of this "
                f"dataset have {channels}.",
                "A dataset `image_folder` reads gray images in colour; `resnet` and `vgg` take any "
                "number of channels.",
            )
        _replace_batch_normalization(module, self.normalization, self.groups)
        return module

    def network(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Returns the architecture, tried on two examples.

        Raises:
            DataError: examples are no images with 3 channels.
            UsageError: the images are too small.
        """
        network = super().network(input_shape, outputs)
        return checked(f"`{self.name}`", network, tuple(input_shape), outputs)


def _replace_batch_normalization(
    module: nn.Module, normalization: Normalization, groups: int
) -> None:
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                (own,) = normalized(normalization, layer.num_features, groups)
                if isinstance(own, nn.GroupNorm):
                    own.eps = layer.eps
                setattr(parent, name, own)
