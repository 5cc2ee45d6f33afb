"""A model whose factory the study names; only a run imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue
from torch import nn

from fragility.errors import UsageError
from fragility.models._checks import checked
from fragility.models.base import Model
from fragility.numerics.network import Network
from fragility.own_code import CalledCode


class Python(CalledCode, Model):
    """A model of yours, from a file beside the study or from an installed module.

    What `python` names is called as `make(input_shape, outputs, **settings)` and returns a torch
    module that makes (n, outputs) of (n, *input_shape). Initial values are drawn when it is called,
    by torch's global generator, which a run seeds. All its parameters are trained, in evaluation
    mode: dropout layers are off. Frozen prefixes are made use of where it is an `nn.Sequential`.

    The file is read and hashed when the study is loaded, so that an edit computes anew, and it is
    imported by `fragility run --allow-code` alone: a plan does not know its size. Of a module the
    source file and the version of its package are hashed; what the code imports from elsewhere is
    not.

    Valid when: outputs of an example depend on it and the parameters alone, and `torch.vmap` can
        map the module: no batch normalization, no buffers of decimal numbers, no random numbers and
        no branches on values in `forward`. It is tried when a run begins.
    Cost: the module's own.
    Reference: the module's own.
    """

    kind: Literal["python"] = "python"
    python: str
    """The function or class: `file.py:name`, with a path below the study's folder, or
    `package.module:name`."""
    settings: Mapping[str, JsonValue] = {}
    """Further arguments, by name."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns what the factory returns.

        Raises:
            UsageError: it is not imported, fails, or returns no module.
        """
        module = self.call(tuple(input_shape), outputs)
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"`{self.python}` returns a {type(module).__name__}.",
                "A model is a `torch.nn.Module`.",
            )
        return module

    def network(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Returns the architecture, tried on two examples.

        Raises:
            UsageError: as `build`; or an example's outputs would not be its own.
        """
        network = super().network(input_shape, outputs)
        return checked(f"`{self.python}`", network, tuple(input_shape), outputs)
