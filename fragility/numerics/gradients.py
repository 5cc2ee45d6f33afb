"""Gradients of single examples and their products, in blocks that respect a memory limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import grad, vmap

from fragility.numerics.network import Layout, activations
from fragility.numerics.tape import AffineRecord, Tape, covers
from fragility.numerics.trained import TrainedModel

BLOCK_BYTES = 128 * 2**20
"""Largest intermediate that one block of a computation may hold."""

Scalars = Callable[[Tensor, Tensor], Tensor]
"""A scalar of each example (n,), given outputs (n, k) and targets."""


def block_rows(model: TrainedModel, numbers_a_row: int) -> int:
    """Returns how many rows of so many numbers a block may hold, at least 1."""
    size = next(iter(model.parameters.values())).element_size()
    return max(1, BLOCK_BYTES // max(1, numbers_a_row * size))


def pass_rows(model: TrainedModel) -> int:
    """Returns how many examples one forward and backward pass may take."""
    # Convolutions are unfolded: a kernel's area times the activations, about.
    return block_rows(model, 8 * activations(model.network, tuple(model.inputs.shape[1:])))


def per_example_gradients(
    model: TrainedModel,
    layout: Layout,
    inputs: Tensor,
    targets: Tensor,
    scalars: Scalars | None = None,
) -> Tensor:
    """Returns the gradient of each example's scalar (the loss, unless said), shape (n, P).

    Holds n x P numbers: meant for few examples, or few parameters.
    """
    scalars = scalars or model.loss.per_example
    if covers(model.network, layout):
        rows = pass_rows(model)
        parts = [
            _assembled(layout, _records(model, layout, x, y, scalars))
            for x, y in zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True)
        ]
        return torch.cat(parts)
    return _by_vmap(model, layout, inputs, targets, scalars)


def gradients_at_tests(
    model: TrainedModel, layout: Layout, points: Tensor, scalars: Scalars | None = None
) -> Tensor:
    """Returns the gradient of each chosen test example's scalar (its test loss, unless said).

    Shape (T, P); a test loss is without what only training has, such as label smoothing.
    """
    tests = model.on_test()
    inputs, targets = tests.inputs[points], tests.targets[points]
    return per_example_gradients(tests, layout, inputs, targets, scalars)


def gradient_products(
    model: TrainedModel, layout: Layout, directions: Tensor, scalars: Scalars | None = None
) -> Tensor:
    """Returns the product of every training example's gradient with each direction, (T, n).

    Args:
        model: the model and its training examples.
        layout: the parameters.
        directions: shape (T, P).
        scalars: what of each example is differentiated; the loss, unless said.

    A pass over the examples; per-example gradients exist for one block at a time, if at all.
    """
    scalars = scalars or model.loss.per_example
    parts = [
        _block_products(model, layout, directions, x, y, scalars)
        for x, y in example_blocks(model, layout, len(directions))
    ]
    return torch.cat(parts, dim=1)


def combined_gradients(model: TrainedModel, layout: Layout, weights: Tensor) -> Tensor:
    """Returns sums of the training examples' gradients with weights (T, n): (T, P).

    A pass over the examples; per-example gradients exist for one block at a time, if at all.
    """
    total = weights.new_zeros(len(weights), layout.size)
    start = 0
    for inputs, targets in example_blocks(model, layout, len(weights)):
        own = weights[:, start : start + len(inputs)]
        start += len(inputs)
        if covers(model.network, layout):
            records = _records(model, layout, inputs, targets, model.loss.per_example)
            total += _flattened(layout, [(r.name, r.combined(own)) for r in records])
        else:
            total += own @ _by_vmap(model, layout, inputs, targets, model.loss.per_example)
    return total


def example_blocks(
    model: TrainedModel, layout: Layout, directions: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the training examples in blocks whose gradients and products fit the limit."""
    per_row = layout.size + directions * _widest(layout)
    rows = min(pass_rows(model), block_rows(model, per_row))
    yield from model.train_blocks(rows)


def _widest(layout: Layout) -> int:
    return max(shape[0] for shape in layout.shapes if len(shape))


def _block_products(
    model: TrainedModel,
    layout: Layout,
    directions: Tensor,
    inputs: Tensor,
    targets: Tensor,
    scalars: Scalars,
) -> Tensor:
    if not covers(model.network, layout):
        return directions @ _by_vmap(model, layout, inputs, targets, scalars).T
    records = _records(model, layout, inputs, targets, scalars)
    total = directions.new_zeros(len(directions), len(inputs))
    for record in records:
        total += record.products(layer_directions(layout, record.name, directions))
    return total


def _records(
    model: TrainedModel, layout: Layout, inputs: Tensor, targets: Tensor, scalars: Scalars
) -> list[AffineRecord]:
    tape = Tape(model.network, model.parameters, layout, inputs)
    with torch.enable_grad():
        values = scalars(tape.outputs, targets)
    return tape.records(values)


def layer_directions(layout: Layout, layer: str, flat: Tensor) -> Tensor:
    """Returns the part of flat vectors (T, P) that belongs to an affine layer, (T, k, d).

    The bias is the last column, where the layout holds it.
    """
    named = layout.unflatten(flat)
    columns = [named[f"{layer}.weight"].flatten(2)]
    if f"{layer}.bias" in named:
        columns.append(named[f"{layer}.bias"].unsqueeze(2))
    return torch.cat(columns, dim=2)


def _assembled(layout: Layout, records: list[AffineRecord]) -> Tensor:
    """Returns the flat gradients (n, P) of the recorded layers."""
    return _flattened(layout, [(record.name, record.gradients()) for record in records])


def _flattened(layout: Layout, layers: list[tuple[str, Tensor]]) -> Tensor:
    """Returns flat vectors (n, P) of layers' weights (n, k, d), biases as the last column."""
    named: dict[str, Tensor] = {}
    for layer, value in layers:
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        if bias in layout.names:
            _add(named, bias, value[:, :, -1])
            value = value[:, :, :-1]
        shape = layout.shapes[layout.names.index(weight)]
        _add(named, weight, value.reshape(len(value), *shape))
    return layout.flatten(named)


def _add(named: dict[str, Tensor], name: str, value: Tensor) -> None:
    # A layer that is applied twice has two records.
    named[name] = named[name] + value if name in named else value


def _by_vmap(
    model: TrainedModel, layout: Layout, inputs: Tensor, targets: Tensor, scalars: Scalars
) -> Tensor:
    flat = model.vector(layout)

    def scalar_of_one(point: Tensor, one: Tensor, target: Tensor) -> Tensor:
        parameters = {**model.parameters, **layout.unflatten(point)}
        outputs = model.network(parameters, one.unsqueeze(0))
        return scalars(outputs, target.unsqueeze(0)).squeeze(0)

    gradients: Tensor = vmap(grad(scalar_of_one), in_dims=(None, 0, 0))(flat, inputs, targets)
    return gradients
