"""What a network of others must keep to, for its examples and its stacks to be independent."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fragility.errors import UsageError
from fragility.numerics.fused_forward import stacked_outputs
from fragility.numerics.network import Network

_TOLERANCE = 1e-8
"""Share of the largest output: batches of other sizes are rounded otherwise, in float64."""


@lru_cache(maxsize=256)
def checked(what: str, network: Network, input_shape: tuple[int, ...], outputs: int) -> Network:
    """Returns the network, tried on two made-up examples; `what` names it.

    Raises:
        UsageError: it has what would make an example's loss depend on others or on chance, or
            parameters that are not trained; or its outputs are not (n, outputs), or torch has no
            second derivatives of them.
    """
    if refusal := _refusal(network.module):
        raise UsageError(f"{what} {refusal[0]}.", refusal[1])
    generator = torch.Generator().manual_seed(0)
    examples = torch.randn(2, *input_shape, generator=generator, dtype=torch.float64)
    # Not the initial values: of a last layer of zeros they would tell nothing.
    parameters = {
        name: value.detach() + 0.02 * torch.randn(value.shape, generator=generator).double()
        for name, value in network.module.named_parameters()
    }
    stack = {name: value.expand(2, *value.shape) for name, value in parameters.items()}
    size = " x ".join(map(str, input_shape))

    def made(where: str, run: Callable[[], Tensor]) -> Tensor:
        return _tried(f"{what}{where} for examples of {size} numbers", run)

    both = made("", partial(network, parameters, examples))
    if both.shape != (2, outputs):
        raise UsageError(
            f"{what} makes {' x '.join(map(str, both.shape))} numbers of two examples ({size}), "
            f"not 2 x {outputs}.",
            "Its last layer needs an output for each class, or for each number to predict.",
        )
    if not _same(both, made("", partial(network, parameters, examples))):
        raise UsageError(
            f"{what} makes other outputs of the same examples the second time.",
            "A loss must not depend on chance: use `nn.Dropout`, which is off here, instead of "
            "functions that draw.",
        )
    alone = [made("", partial(network, parameters, one)) for one in (examples[:1], examples[1:])]
    if not _same(both, torch.cat(alone)):
        raise UsageError(
            f"{what} makes other outputs of an example when another stands beside it.",
            "An example's loss must be its own: normalize within each example.",
        )
    if _same(both[:1], both[1:]):
        raise UsageError(
            f"{what} makes the same outputs of different examples ({size}).",
            "Check that it uses what it reads.",
        )
    made(" as a stack (torch.vmap)", partial(stacked_outputs, network, stack, examples))
    _check_second_derivatives(what, partial(network, parameters), examples[:1])
    return network


def _refusal(module: nn.Module) -> tuple[str, str] | None:
    """Returns what a module has that it must not have, and what to do; or None."""
    if any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        return (
            "has batch normalization, which makes an example's loss depend on the others of its "
            "batch",
            "Use group normalization, `nn.GroupNorm`, which normalizes each example by itself.",
        )
    if not list(module.parameters()):
        return "has no parameters", "Register them: `nn.Parameter`, or layers as attributes."
    frozen = [name for name, value in module.named_parameters() if not value.requires_grad]
    if frozen:
        return (
            f"does not train {_listed(frozen)}, and a base training trains all parameters",
            "Say `parameters` of estimators and procedures instead, or keep constants as tensors "
            "that are no parameters.",
        )
    buffers = [name for name, value in module.named_buffers() if value.is_floating_point()]
    if buffers:
        return (
            f"has buffers of decimal numbers, {_listed(buffers)}, for which a study has neither a "
            "seed nor a precision",
            "Make them parameters, or compute them in `forward` from its inputs' dtype and device.",
        )
    return None


def _tried(what: str, run: Callable[[], Tensor]) -> Tensor:
    try:
        with torch.no_grad():
            found = run()
    except Exception as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise UsageError(
            f"{what} fails in float64: {type(error).__name__}: {told}.",
            "Check what it reads: images may be too small for it, or for so many groups.",
        ) from error
    if not isinstance(found, Tensor):
        raise UsageError(f"{what} returns a {type(found).__name__}.", "It must return a tensor.")
    return found


def _check_second_derivatives(
    what: str, outputs: Callable[[Tensor], Tensor], example: Tensor
) -> None:
    # In the example: it meets the same operations as the parameters do, and is smaller.
    point = example.clone().requires_grad_()
    try:
        with torch.enable_grad():
            made = outputs(point).square().sum()
            (slope,) = torch.autograd.grad(made, point, create_graph=True)
            torch.autograd.grad(slope.square().sum(), point)
    except Exception as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise UsageError(
            f"{what} has no second derivatives: {type(error).__name__}: {told}.",
            "Curvature needs them; torch has none of some activations, such as hardsigmoid, and of "
            "fused attention.",
        ) from error


def _same(one: Tensor, other: Tensor) -> bool:
    most = float(one.abs().max())
    return float((one - other).abs().max()) <= _TOLERANCE * most


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:3]) + (", ..." if len(names) > 3 else "")
