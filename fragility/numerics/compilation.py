"""Gradients of stacks through torch.compile, where a C++ compiler is present and it pays.

Small layers spend most of their time in activations, their slopes and the softmax, each of which
goes through memory; compiled, they are a few fused loops. Compiling takes seconds, so that only
long trainings gain. Whether a stack is compiled follows from the stack and the machine alone, never
from a measured time or from what is left to do, and so do its numbers.
"""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from fragility.numerics.fused_forward import is_chain
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network, activations
from fragility.numerics.stack import Compiled, Gradient, StackProblem, differentiated

COMPILED = "torch.compile"
"""How the gradients of a compiled stack are said to be computed."""

WORK = 3e10
"""Activations of all models and gradients from which compiling pays; see `benchmarks`."""

_Kind = tuple[torch.Size, torch.dtype]


def compiled(
    problem: StackProblem, gradients: int, rows: Tensor | None = None
) -> tuple[StackProblem, str]:
    """Returns the problem, with compiled gradients where they pay, and how they are computed.

    A compilation that fails leaves the problem as it was.

    Args:
        problem: the objectives of the whole stack.
        gradients: how many are to be computed, of all models together; 0 if nobody knows.
        rows: positions of a minibatch's examples, as in `evaluate_rows`; None for all examples.
    """
    examples = problem.weights.shape[1] if rows is None else rows.shape[-1]
    reason = _reason_against(problem, gradients * examples)
    if reason is not None:
        return problem, f"eager: {reason}"
    blocks = -(-problem.models // problem.block(examples))
    block = slice(0, -(-problem.models // blocks))
    part = problem.select(block)
    if rows is not None:
        part = part.batch(rows if rows.dim() == 1 else rows[block])
    theta = part.weights.shape[0], part.layout.size
    kinds = [(torch.Size(theta), part.weights.dtype)]
    kinds += [(value.shape, value.dtype) for value in (part.weights, part.inputs, part.targets)]
    try:
        function = _function(
            part.network, part.loss, part.layout, part.own_inputs, torch.get_num_threads(), *kinds
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the eager way works
        return problem, f"eager: torch.compile failed ({type(error).__name__})"
    made = Compiled(part.models, examples, part.own_inputs, function)
    return replace(problem, compiled=made), COMPILED


def _reason_against(problem: StackProblem, examples: int) -> str | None:
    """Returns why a stack is not compiled that goes through so many examples, all told."""
    if problem.weights.device.type != "cpu":
        return "only computations on the CPU are compiled"
    inputs, own = problem.inputs, problem.own_inputs
    if problem.frozen or not is_chain(problem.network.module, inputs.dim() - own):
        return "only chains of affine layers are compiled"
    numbers = activations(problem.network, tuple(inputs.shape[2 if own else 1 :]))
    if examples * numbers < WORK:
        return "torch.compile does not pay for stacks of this size (benchmarks/torch_compile.py)"
    return None if compiler() else "no C++ compiler"


def compiler() -> str | None:
    """Returns the path of the C++ compiler that torch.compile would use."""
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@lru_cache(maxsize=16)
def _function(
    network: Network, loss: Loss, layout: Layout, own_inputs: bool, threads: int, *kinds: _Kind
) -> Gradient:
    """Returns `differentiated` of a shape, compiled for a number of threads."""
    theta, *data = (torch.zeros(shape, dtype=dtype) for shape, dtype in kinds)
    weights, inputs, targets = data
    decay = theta.new_zeros(len(theta), 1)
    part = StackProblem(network, loss, layout, {}, inputs, targets, weights, decay, own_inputs)

    def of(theta: Tensor, weights: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        return differentiated(replace(part, weights=weights, inputs=inputs, targets=targets), theta)

    with _silence():
        # As operations of tensors: what lies between them in Python is none of the compiler's.
        operations = make_fx(of)(theta, *data)
        function = torch.compile(operations, fullgraph=True, dynamic=False)

        def gradient(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                data_loss, slope = function(*tensors)
            return data_loss, slope

        gradient(theta, *data)
    return gradient


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what the compiler says to itself: there is always the eager way."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
