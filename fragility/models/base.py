"""What a model is: an architecture for a given input shape and number of outputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from fragility.method import Method, Room
from fragility.models._data_dependent import data_dependent
from fragility.models._layers import TorchSeed
from fragility.numerics.losses import Loss, loss_for
from fragility.numerics.network import Layout, Network
from fragility.numerics.penalties import Penalty


class Model(Method):
    """An architecture; its values come from a seed."""

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the module, initialized by torch's global generator."""

    @property
    def first_seed(self) -> int | None:
        """The seed of the first repeat's initial values, the next repeat having the next one.

        None: they come from the study's seed, as of every model whose `initialization` has none.
        """
        chosen = getattr(self, "initialization", None)
        return chosen.torch_seed if isinstance(chosen, TorchSeed) else None

    @property
    def convex(self) -> bool:
        """Whether the mean loss is convex in the parameters."""
        return False

    @property
    def convex_last_layer(self) -> bool:
        """Whether the mean loss is convex in the parameters of the last layer."""
        return True

    def loss(self, task: str, n: int) -> Loss:
        """Returns the loss of each of n training examples, before regularization."""
        return loss_for(task)

    def measured(self, task: str) -> Loss:
        """Returns the loss that test examples are measured by."""
        return loss_for(task)

    def penalties(self, layout: Layout, n: int) -> tuple[Penalty, ...]:
        """Returns what the objective of n examples has beside their mean loss.

        `layout` is that of the whole network.
        """
        return ()

    @property
    def known(self) -> bool:
        """Whether the architecture is known: that of a study's own code is not before a run."""
        return True

    def network(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Returns the architecture without values."""
        return _network(self, input_shape, outputs)

    def initial(
        self, input_shape: tuple[int, ...], outputs: int, seed: int, dtype: torch.dtype
    ) -> dict[str, Tensor]:
        """Returns the initial parameters of one seed, drawn in float32 and then converted.

        Drawing in float32 gives studies in float32 and float64 the same initial values. The
        caller's random state is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.build(input_shape, outputs)
        return {name: p.detach().to(dtype) for name, p in module.named_parameters()}

    def from_data(
        self, network: Network, values: Mapping[str, Tensor], examples: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        """Returns initial values that have seen the training examples.

        Those of layers that have a method `from_data(inputs)` come from it, given what reaches the
        layer; it returns values of its parameters by their names. All others are left as they are.

        Args:
            network: the architecture.
            values: what `initial` drew.
            examples: gives all training examples, shape (n, ...), whatever is removed later.
        """
        return data_dependent(network, values, examples)


@lru_cache(maxsize=256)
def _network(model: Model, input_shape: tuple[int, ...], outputs: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        return Network(model.build(input_shape, outputs).eval())


MODELS: Room[Model] = Room("models", Model, "fragility.models")
