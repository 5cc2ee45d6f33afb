"""Gradients of stacks through torch.compile, where a C++ compiler is present and it pays.

Small layers spend most of their time in activations, their slopes and the softmax, each of which
goes through memory; compiled, they are a few fused loops. Compiling takes seconds, so that only
long trainings gain. Whether a stack is compiled follows from the stack, the steps that it took and
the machine alone, never from a measured time or from what is left to do, and so do its numbers.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from fragility.numerics.fused_forward import is_chain, says_how
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network
from fragility.numerics.stack import Compiled, Gradient, StackProblem, differentiated

COMPILED = "torch.compile"
"""How the gradients of a compiled stack are said to be computed."""

WORK = 2e10
"""Activations of all models and gradients from which compiling pays.

Compiled, one takes about a nanosecond less (benchmarks/torch_compile.py): 20 seconds in all, which
the first compilation of a process takes. Further ones take up to 10.
"""

GAIN_OF_MOMENTS = 10
"""An activation of layers that hand on moments gains so many times as much (the same benchmark)."""

SHARED_ONLY = "torch.compile is used for chains of layers on shared inputs only"

Kind = tuple[torch.Size, torch.dtype]


def compiled(
    problem: StackProblem, gradients: int, batch: int | None = None, models: int | None = None
) -> tuple[StackProblem, str]:
    """Returns the problem, with compiled gradients where they pay, and how they are computed.

    A compilation that fails leaves the problem as it was.

    Args:
        problem: the objectives of the whole stack.
        gradients: how many are computed at least, of all models together.
        batch: examples of a gradient on minibatches; None: all examples.
        models: of the parts that are computed together; None: even parts that suit the caches.
    """
    examples = batch or problem.weights.shape[1]
    reason = eager_because(problem, gradients, examples)
    if reason is not None:
        return problem, f"eager: {reason}"
    if models is None:
        blocks = -(-problem.models // problem.block(examples))
        models = -(-problem.models // blocks)
    dtype, layout = problem.weights.dtype, problem.layout
    kinds = [(torch.Size([models, size]), dtype) for size in (layout.size, examples)]
    for value in (problem.inputs, problem.targets):
        kinds.append((torch.Size([examples, *value.shape[1:]]), value.dtype))
    try:
        threads = torch.get_num_threads()
        with _interrupts_kept():
            gradient = _compiled(problem.network, problem.loss, layout, threads, *kinds)
    except Exception as error:
        return problem, f"eager: torch.compile failed ({type(error).__name__})"
    return replace(problem, compiled=Compiled(models, examples, gradient)), COMPILED


def eager_because(problem: StackProblem, gradients: int, examples: int) -> str | None:
    """Returns why a stack is not compiled, or None where it is tried."""
    unfit = _unfit(problem)
    if unfit is not None:
        return unfit
    if gradients < _enough(problem, examples):
        return "torch.compile does not pay here (benchmarks/torch_compile.py)"
    return None if compiler() else "no C++ compiler"


def worth(problem: StackProblem, examples: int) -> int | None:
    """Returns from how many gradients on compiling a stack pays; None where it is never tried."""
    return _enough(problem, examples) if _unfit(problem) is None and compiler() else None


def _unfit(problem: StackProblem) -> str | None:
    """Returns why a stack is never compiled, however long it trains, or None."""
    if problem.weights.device.type != "cpu":
        return "torch.compile is used on the CPU only"
    network = (problem.network.module, problem.inputs.dim())
    known = is_chain(*network) or says_how(*network)
    if problem.frozen or problem.own_inputs or problem.anchor or not known:
        return SHARED_ONLY
    if problem.draws is not None:
        return "torch.compile is used for objectives without noise only"
    return None


def _enough(problem: StackProblem, examples: int) -> int:
    """Returns from how many gradients of one model on compiling pays."""
    moments = says_how(problem.network.module, problem.inputs.dim())
    gain = examples * problem.activations * (GAIN_OF_MOMENTS if moments else 1)
    return math.ceil(WORK / gain)


def compiler() -> str | None:
    """Returns the path of the C++ compiler that torch.compile would use."""
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@lru_cache(maxsize=16)
def _compiled(network: Network, loss: Loss, layout: Layout, threads: int, *kinds: Kind) -> Gradient:
    """Returns the gradient for theta, weights, inputs and targets of these kinds, compiled.

    `threads` are those it is compiled for.
    """
    theta, *data = (torch.zeros(shape, dtype=dtype) for shape, dtype in kinds)
    weights, inputs, targets = data
    decay = theta.new_zeros(len(theta), 1)
    part = StackProblem(network, loss, layout, {}, inputs, targets, weights, decay)

    def of(theta: Tensor, weights: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        return differentiated(replace(part, weights=weights, inputs=inputs, targets=targets), theta)

    with _silence():
        # As operations of tensors: what lies between them in Python is none of the compiler's.
        operations = make_fx(of)(theta, *data)
        # One thread: no pool of processes stays behind.
        options: dict[str, Any] = {"compile_threads": 1}
        function = torch.compile(operations, fullgraph=True, dynamic=False, options=options)

        def gradient(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                data_loss, slope = function(*tensors)
            return data_loss, slope

        gradient(theta, *data)
    return gradient


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Raises KeyboardInterrupt at the end if Ctrl-C came: what compiles may take it for a failure.

    The C++ compiler gets the signal too and ends, so that it is not long until then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


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
