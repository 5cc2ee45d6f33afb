"""What training draws at every step: masks of hidden units, and changes of images.

A draw follows from a model's seed and the step alone, whatever stack the model stands in; models
of one seed share it, as a base model and its retrainings do: common random numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from fragility.identity import derive_seed
from fragility.numerics.network import Masked, Network, handed_on


@dataclass(frozen=True)
class Noise:
    """Dropout of hidden units, and random crops and flips of images.

    `dropout`: share of the hidden units that are 0 in a step, with `last_only` of the last hidden
    layer; `crop`: zeros around an image, from
    which a window of its own size is cut; `flip`: whether half of the images are mirrored.
    """

    dropout: float = 0.0
    last_only: bool = False
    crop: int = 0
    flip: bool = False

    def __bool__(self) -> bool:
        return bool(self.dropout) or self.augments

    @property
    def augments(self) -> bool:
        """Whether images are changed."""
        return self.crop > 0 or self.flip

    def network(self, network: Network) -> Network:
        """Returns the network that is trained: one whose hidden units can be masked."""
        return _masked(network, self.last_only) if self.dropout else network


@dataclass(frozen=True)
class Draws:
    """Noise with the seed of each of K models."""

    noise: Noise
    seeds: tuple[int, ...]

    def select(self, index: Tensor | slice) -> Draws:
        """Returns the draws of some of the models."""
        if isinstance(index, slice):
            return replace(self, seeds=self.seeds[index])
        return replace(self, seeds=tuple(self.seeds[k] for k in index.tolist()))

    def at(
        self, step: int, network: Network, inputs: Tensor, *, own_inputs: bool
    ) -> tuple[Tensor, bool, dict[str, Tensor]]:
        """Returns the inputs of a step, whether they are each model's own, and its masks.

        Args:
            step: number of the step.
            network: as `Noise.network` returns it, or its last layers.
            inputs: examples of the step, (b, ...), or with `own_inputs` of each model (K, b, ...).
            own_inputs: whether each model has examples of its own.

        Returns:
            Inputs in either form; masks by name, each (K, b, units).
        """
        seeds = list(dict.fromkeys(self.seeds))
        place = torch.tensor([seeds.index(seed) for seed in self.seeds], device=inputs.device)
        generators = [
            torch.Generator().manual_seed(derive_seed(seed, "noise", step)) for seed in seeds
        ]
        examples = inputs.shape[1 if own_inputs else 0]
        if self.noise.augments:
            windows = [self._windows(examples, inputs.shape[-2:], one) for one in generators]
            index = torch.stack(windows).to(inputs.device)[place]
            if own_inputs or len(seeds) > 1:
                inputs = inputs if own_inputs else inputs.expand(len(self.seeds), *inputs.shape)
                own_inputs = True
                inputs = torch.stack(
                    [self._moved(x, i) for x, i in zip(inputs, index, strict=True)]
                )
            else:
                inputs = self._moved(inputs, index[0])
        shape = tuple(inputs.shape[2 if own_inputs else 1 :])
        masks = {}
        for name, units in mask_shapes(network, shape) if self.noise.dropout else ():
            drawn = torch.stack([torch.rand(examples, *units, generator=g) for g in generators])
            kept = (drawn >= self.noise.dropout).to(inputs) / (1 - self.noise.dropout)
            masks[f"{name}.mask"] = (
                kept[place] if len(seeds) > 1 else kept.expand(len(self.seeds), *kept.shape[1:])
            )
        return inputs, own_inputs, masks

    def _windows(self, examples: int, plane: torch.Size, generator: torch.Generator) -> Tensor:
        """Returns for each example the first row and column of its window, and if it is flipped."""
        side = 2 * self.noise.crop + 1
        rows, columns = torch.randint(0, side, (2, examples), generator=generator)
        flips = torch.rand(examples, generator=generator) < 0.5
        return torch.stack([rows, columns, flips & self.noise.flip], dim=1)

    def _moved(self, images: Tensor, windows: Tensor) -> Tensor:
        """Returns images (b, c, h, w), each cut from its zero-padded self."""
        height, width = images.shape[-2:]
        padded = nn.functional.pad(images, (self.noise.crop,) * 4)
        rows = windows[:, 0, None] + torch.arange(height, device=images.device)
        along = torch.arange(width, device=images.device).expand(len(images), width)
        along = torch.where(windows[:, 2, None].bool(), along.flip(1), along)
        columns = windows[:, 1, None] + along
        one = torch.arange(len(images), device=images.device)[:, None, None, None]
        channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        return padded[one, channel, rows[:, None, :, None], columns[:, None, None, :]]


def can_mask(network: Network) -> bool:
    """Whether the network is a sequence with hidden affine layers, whose units can be masked."""
    return any(isinstance(layer, Masked) for layer in _masked(network, True).module.modules())


@lru_cache(maxsize=256)
def _masked(network: Network, last_only: bool) -> Network:
    """Returns the network with a mask after the activations of its hidden affine layers."""
    if not isinstance(network.module, nn.Sequential):
        return network
    children = list(network.module.named_children())
    affine = [k for k, (_, layer) in enumerate(children) if isinstance(layer, nn.Linear)]
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (name, layer) in enumerate(children):
        found[name] = layer
        if k - 1 in (affine[-2:-1] if last_only else affine[:-1]):
            found[f"{name}_mask"] = Masked()
    return Network(nn.Sequential(found).eval())


@lru_cache(maxsize=256)
def mask_shapes(
    network: Network, input_shape: tuple[int, ...]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Returns the name of every mask and the shape of one example's units there."""
    masked = {n: m for n, m in network.module.named_modules() if isinstance(m, Masked)}
    return tuple((name, tuple(s[1:])) for name, s in handed_on(network, masked, input_shape))
