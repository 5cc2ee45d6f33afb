"""Kronecker-factored curvature of affine layers: K-FAC, and EK-FAC with corrected eigenvalues.

The Fisher matrix of a layer, E[vec(g) vec(g)^T] with g = sum_p delta_p a_p^T, is taken as the
Kronecker product of A = E[sum_p a_p a_p^T] and S = E[mean_p delta_p delta_p^T], layers apart. In
the basis of the eigenvectors of both it is diagonal: K-FAC takes the products of eigenvalues there,
EK-FAC the second moments that the gradients really have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.identity import derive_seed
from fragility.numerics.gradients import block_rows, layer_directions, pass_rows
from fragility.numerics.network import Layout, activations
from fragility.numerics.tape import AffineRecord, Tape, affine_layers
from fragility.numerics.trained import TrainedModel

Labels = Literal["expected", "sampled", "observed"]
"""Over which labels gradients are taken: the model's own in expectation, one drawn for each
example, or the training labels (the empirical Fisher matrix)."""


@dataclass(frozen=True)
class KroneckerLayer:
    """One layer's curvature: bases of outputs (k, k) and inputs (d, d), eigenvalues (k, d).

    `decay` is the L2 strength of the layer's weight.
    """

    name: str
    outputs: Tensor
    inputs: Tensor
    values: Tensor
    decay: float

    def solve(self, directions: Tensor, damping: float) -> Tensor:
        """Returns (C + damping I)^-1 times directions (T, k, d)."""
        rotated = self.outputs.T @ directions @ self.inputs
        return self.outputs @ (rotated / (self.values + damping)) @ self.inputs.T


@dataclass(frozen=True)
class KroneckerCurvature:
    """The curvature of all layers; what is between layers counts as zero."""

    layout: Layout
    layers: tuple[KroneckerLayer, ...]

    def solve(self, rows: Tensor, damping: Callable[[KroneckerLayer], float]) -> Tensor:
        """Returns the inverse times each row (T, P), each layer damped by its own share."""
        named: dict[str, Tensor] = {}
        for layer in self.layers:
            directions = layer_directions(self.layout, layer.name, rows)
            solved = layer.solve(directions, damping(layer))
            weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
            if bias in self.layout.names:
                named[bias] = solved[:, :, -1]
                solved = solved[:, :, :-1]
            shape = self.layout.shapes[self.layout.names.index(weight)]
            named[weight] = solved.reshape(len(rows), *shape)
        return self.layout.flatten(named)


@torch.no_grad()
def kronecker_curvature(
    model: TrainedModel, layout: Layout, labels: Labels, seed: int, *, corrected: bool
) -> KroneckerCurvature:
    """Returns K-FAC, or with `corrected` EK-FAC, of the mean loss without penalty.

    Two passes over the examples (one for K-FAC), each with as many backward passes as outputs
    where labels are `expected`.

    Raises:
        MethodFailure: a parameter belongs to no dense layer or convolution, or the objective has a
            penalty whose curvature is not one number a layer.
    """
    _check(model, layout)
    layers = [
        _eigenbasis(layer, model, inputs, outputs)
        for layer, (inputs, outputs) in _factors(model, layout, labels, seed).items()
    ]
    if corrected:
        layers = _corrected(model, layout, labels, seed, layers)
    return KroneckerCurvature(layout, tuple(layers))


def _check(model: TrainedModel, layout: Layout) -> None:
    if model.penalties:
        raise MethodFailure(
            "Kronecker factors take a penalty whose curvature is one number a layer, as that of "
            f"weight decay is; here is {model.penalties[0].form.name}.",
            "Use `cg` or `exact`.",
        )
    known = affine_layers(model.network)
    strange = [
        name
        for name in layout.names
        if name.rpartition(".")[0] not in known
        or f"{name.rpartition('.')[0]}.weight" not in layout.names
    ]
    if strange:
        names = ", ".join(f"`{name}`" for name in strange)
        raise MethodFailure(
            f"Kronecker factors are those of dense layers and convolutions, which {names} are not.",
            "Leave them out of `parameters`, or use `cg`.",
        )


def _factors(
    model: TrainedModel, layout: Layout, labels: Labels, seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns A (d, d) and S (k, k) of every layer."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for inputs, targets, start in _blocks(model, layout):
        seen: set[str] = set()
        passes = _records(model, layout, labels, seed, inputs, targets, start)
        for record in chain.from_iterable(passes):
            positions = record.deltas.shape[1]
            a, delta = record.inputs.flatten(0, 1), record.deltas.flatten(0, 1)
            if record.name not in found:
                found[record.name] = (
                    a.new_zeros(a.shape[1], a.shape[1]),
                    delta.new_zeros(delta.shape[1], delta.shape[1]),
                )
            inner, outer = found[record.name]
            # The inputs are the same whatever label the gradients are taken at.
            if record.name not in seen:
                inner.addmm_(a.T, a, alpha=1 / model.n)
                seen.add(record.name)
            outer.addmm_(delta.T, delta, alpha=1 / (model.n * positions))
    return found


def _eigenbasis(name: str, model: TrainedModel, inputs: Tensor, outputs: Tensor) -> KroneckerLayer:
    if not bool(torch.isfinite(inputs).all() & torch.isfinite(outputs).all()):
        raise MethodFailure(
            "the Kronecker factors are not finite: the trained model has diverged.",
            "Lower the learning rate, or add weight decay.",
        )
    inner, inner_vectors = torch.linalg.eigh(inputs)
    outer, outer_vectors = torch.linalg.eigh(outputs)
    values = outer.clamp(min=0).unsqueeze(1) * inner.clamp(min=0)
    return KroneckerLayer(name, outer_vectors, inner_vectors, values, model.decay[f"{name}.weight"])


def _corrected(
    model: TrainedModel, layout: Layout, labels: Labels, seed: int, layers: list[KroneckerLayer]
) -> list[KroneckerLayer]:
    """Returns the layers with the gradients' second moments in their bases as eigenvalues."""
    moments = {layer.name: torch.zeros_like(layer.values) for layer in layers}
    bases = {layer.name: layer for layer in layers}
    for inputs, targets, start in _blocks(model, layout):
        rotated: list[Tensor] = []
        for records in _records(model, layout, labels, seed, inputs, targets, start):
            # The inputs are the same whatever label the gradients are taken at.
            rotated = rotated or [one.inputs @ bases[one.name].inputs for one in records]
            for record, rows in zip(records, rotated, strict=True):
                deltas = record.deltas @ bases[record.name].outputs
                moments[record.name] += _second_moments(AffineRecord(record.name, rows, deltas))
    return [replace(layer, values=moments[layer.name] / model.n) for layer in layers]


def _second_moments(record: AffineRecord) -> Tensor:
    """Returns the sum over examples of the squares of their gradients, (k, d)."""
    if record.inputs.shape[1] == 1:
        deltas, inputs = record.deltas.squeeze(1).square(), record.inputs.squeeze(1).square()
        return deltas.T @ inputs
    return record.gradients().square().sum(dim=0)


def _blocks(model: TrainedModel, layout: Layout) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yields blocks of training examples and where each starts."""
    widest = max(activations(model.network, tuple(model.inputs.shape[1:])), layout.size)
    rows = min(pass_rows(model), block_rows(model, 2 * widest))
    start = 0
    for inputs, targets in model.train_blocks(rows):
        yield inputs, targets, start
        start += len(inputs)


def _records(
    model: TrainedModel,
    layout: Layout,
    labels: Labels,
    seed: int,
    inputs: Tensor,
    targets: Tensor,
    start: int,
) -> Iterator[list[AffineRecord]]:
    """Yields the layers' records, for each of the gradients that stand for an example's label."""
    tape = Tape(model.network, model.parameters, layout, inputs)
    if labels == "expected":
        roots = model.loss.curvature_roots(tape.outputs.detach())
        for direction in roots.unbind(dim=2):
            with torch.enable_grad():
                scalars = (tape.outputs * direction).sum(dim=1)
            yield tape.records(scalars, retain=True)
        return
    if labels == "sampled":
        generator = torch.Generator(device=inputs.device)
        generator.manual_seed(derive_seed(seed, "kronecker_labels", start))
        targets = model.loss.sample(tape.outputs.detach(), generator)
    # Drawn labels stand for the likelihood's own curvature, which label smoothing does not change.
    loss = model.test_loss if labels == "sampled" else model.loss
    with torch.enable_grad():
        scalars = loss.per_example(tape.outputs, targets)
    yield tape.records(scalars)
