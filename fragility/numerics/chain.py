"""Products of the Hessian and the Gauss-Newton matrix with many vectors at once, layer by layer.

A network that is a sequence of affine layers, elementwise activations and linear maps is
linearized at one point; a forward pass of tangents and a backward pass of their effects then give
the products (Pearlmutter 1994, "Fast exact multiplication by the Hessian"). All T vectors share
the pass over the examples, so that its matrix products are large. The Gauss-Newton product leaves
out every term that holds a second derivative of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fragility.numerics.network import Network
from fragility.numerics.pieces import (
    NOTHING_IN_EVALUATION,
    Affine,
    Piece,
    Tangents,
    is_known,
    linearized,
)


def is_differentiable_chain(network: Network) -> bool:
    """Whether a network is a sequence of layers that can be linearized one by one."""
    module = network.module
    return isinstance(module, nn.Sequential) and all(is_known(layer) for layer in module)


class Chain:
    """A network linearized at its parameters and a block of examples.

    Args:
        network: a sequence of layers, see `is_differentiable_chain`.
        parameters: all of its parameters.
        inputs: the examples, shape (n, ...).
        second: whether second derivatives of activations will be asked for.
    """

    @torch.no_grad()
    def __init__(self, network: Network, parameters: Tangents, inputs: Tensor, *, second: bool):
        self.pieces: list[tuple[str, Piece]] = []
        at = inputs
        for name, layer in network.module.named_children():
            if isinstance(layer, NOTHING_IN_EVALUATION):
                continue
            piece = linearized(layer, name, parameters, at, second)
            self.pieces.append((name, piece))
            at = piece.output
        self.outputs = at

    @torch.no_grad()
    def gradients(self, gradient: Tensor) -> list[Tensor]:
        """Returns each piece's output gradients (n, ...), given those of the outputs (n, k)."""
        found = [gradient]
        for _, piece in reversed(self.pieces[1:]):
            found.append(piece.pull(found[-1].unsqueeze(0)).squeeze(0))
        return found[::-1]

    @torch.no_grad()
    def push(self, tangents: Tangents) -> tuple[Tensor, list[Tensor | None]]:
        """Returns the changes of the outputs (T, n, k), and of every piece's inputs."""
        moving: Tensor | None = None
        before: list[Tensor | None] = []
        for name, piece in self.pieces:
            before.append(moving)
            moving = None if moving is None else piece.push(moving)
            if isinstance(piece, Affine):
                weight, bias = tangents.get(f"{name}.weight"), tangents.get(f"{name}.bias")
                if weight is not None:
                    moving = _plus(moving, piece.push_weight(weight))
                if bias is not None:
                    everywhere = piece.shift(bias).expand(len(bias), *piece.output.shape)
                    moving = _plus(moving, everywhere)
        assert moving is not None, "the tangents move no parameter of the chain"
        return moving, before

    @torch.no_grad()
    def product(
        self, tangents: Tangents, curvature: Tensor, gradient: Tensor | None
    ) -> dict[str, Tensor]:
        """Returns the product of the curvature of a sum over examples with T vectors, by parameter.

        Args:
            tangents: the vectors, by parameter; parameters that are not named stay fixed.
            curvature: Hessian of each example's term in its outputs, (n, k, k).
            gradient: its gradient in the outputs (n, k); without it, the Gauss-Newton product.
        """
        moving, before = self.push(tangents)
        back = torch.einsum("tni,nij->tnj", moving, curvature)
        own = None if gradient is None else self.gradients(gradient)
        found: dict[str, Tensor] = {}
        first = min(k for k, (name, _) in enumerate(self.pieces) if _holds(name, tangents))
        for k in range(len(self.pieces) - 1, first - 1, -1):
            name, piece = self.pieces[k]
            moved = before[k]
            if isinstance(piece, Affine):
                weight = tangents.get(f"{name}.weight")
                if weight is not None:
                    total = piece.weight_gradients(back)
                    if own is not None and moved is not None:
                        total = total + piece.weight_gradients_at(own[k], moved)
                    found[f"{name}.weight"] = total
                if f"{name}.bias" in tangents:
                    found[f"{name}.bias"] = piece.bias_gradients(back)
                if k > first:
                    back = piece.pull(back)
                    if own is not None and weight is not None:
                        back = back + piece.pull_weight(own[k], weight)
            elif k > first:
                pulled = piece.pull(back)
                if own is not None and piece.curved and moved is not None:
                    pulled = pulled + piece.bend(moved, own[k])
                back = pulled
        return found


def _holds(name: str, tangents: Tangents) -> bool:
    return f"{name}.weight" in tangents or f"{name}.bias" in tangents


def _plus(moving: Tensor | None, more: Tensor) -> Tensor:
    return more if moving is None else moving + more
