"""B2: 100 leave-one-out optima of softmax regression on MNIST, against L-BFGS refits.

10,000 images x 784 pixels, L2 0.01, float32, every optimum to a gradient norm of 1e-5. Both sides
start at the same base optimum. The other side is the loop one would write: an image at a time is
taken out and `torch.optim.LBFGS` goes on from the base until the first gradient that is small
enough. It takes full steps: with its strong-Wolfe line search, which compares losses, float32 ends
most refits between 1e-5 and 3e-4. The sides alternate; medians, ratio, losses and memory are
printed. At the end, both sides' gradients are computed once more, in float64.

    python -m benchmarks.newton --data DIR

DIR holds MNIST/raw/*-ubyte, as torchvision.datasets.MNIST(DIR) reads it; FRAGILITY_DATA names it
too. Without --data and without that variable the benchmark says so and stops.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.datasets import MNIST

from benchmarks.measure import MemoryLimit
from fragility.models.linear import Linear
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.newton import Newton

EXAMPLES, PIXELS, CLASSES = 10_000, 784, 10
L2, GRADIENT_NORM = 0.01, 1e-5


@dataclass(frozen=True)
class Data:
    images: Tensor
    labels: Tensor


class _SmallGradient(Exception):  # noqa: N818 - not an error
    pass


def read(root: str) -> Data:
    mnist = MNIST(root, train=True, download=False)
    images = mnist.data[:EXAMPLES].flatten(1).float() / 255
    return Data(images, mnist.targets[:EXAMPLES])


def problem(data: Data, weights: Tensor) -> StackProblem:
    network = Linear().network((PIXELS,), CLASSES)
    decay = weights.new_full((len(weights), 1), L2)
    layout = network.layout
    return StackProblem(
        network, CROSS_ENTROPY, layout, {}, data.images, data.labels, weights, decay
    )


def leave_one_out(removed: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    weights = torch.full((len(removed), EXAMPLES), 1 / (EXAMPLES - 1), dtype=dtype)
    weights[torch.arange(len(removed)), removed] = 0
    return weights


def newton(data: Data, weights: Tensor, start: Tensor) -> tuple[Tensor, int]:
    training = Newton(dtype="float32", gradient_norm=GRADIENT_NORM)
    count = len(weights)
    stack = [training] * count
    fit = training.fit(stack, problem(data, weights), Start(start.expand(count, -1)), Recorder())
    return fit.theta, int(fit.steps.max())


def lbfgs_loop(data: Data, removed: Tensor, start: Tensor) -> tuple[Tensor, int]:
    ends, gradients = [], 0
    for out in removed.tolist():
        keep = torch.arange(EXAMPLES) != out
        end, count = _lbfgs(data.images[keep], data.labels[keep], start)
        ends.append(end)
        gradients += count
    return torch.stack(ends), gradients // len(removed)


def _lbfgs(images: Tensor, labels: Tensor, start: Tensor) -> tuple[Tensor, int]:
    layer = torch.nn.Linear(PIXELS, CLASSES)
    torch.nn.utils.vector_to_parameters(start[0].clone(), layer.parameters())
    parameters = list(layer.parameters())
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=500, history_size=20, line_search_fn=None,
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip
    gradients = 0

    def closure() -> Tensor:
        nonlocal gradients
        gradients += 1
        optimizer.zero_grad()
        penalty = sum(p.square().sum() for p in parameters)
        loss = cross_entropy(layer(images), labels) + L2 / 2 * penalty
        loss.backward()
        if torch.nn.utils.get_total_norm([p.grad for p in parameters]) <= GRADIENT_NORM:
            raise _SmallGradient
        return loss

    with suppress(_SmallGradient):
        optimizer.step(closure)
    return torch.nn.utils.parameters_to_vector(parameters).detach(), gradients


def timed(side: Callable[[], tuple[Tensor, int]]) -> tuple[float, Tensor, int]:
    started = perf_counter()
    theta, work = side()
    return perf_counter() - started, theta, work


def main() -> None:
    parser = argparse.ArgumentParser(description="B2: leave-one-out by Newton against L-BFGS.")
    parser.add_argument("--data", default=os.environ.get("FRAGILITY_DATA"))
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.data is None:
        sys.exit("Give --data DIR (or FRAGILITY_DATA), the folder that holds MNIST/raw.")
    data = read(options.data)
    limit = MemoryLimit()
    everything = torch.full((1, EXAMPLES), 1 / EXAMPLES)
    zero = torch.zeros(1, CLASSES * (PIXELS + 1))
    seconds, base, steps = timed(lambda: newton(data, everything, zero))
    print(f"base model: {steps} Newton steps from zero, {seconds:.2f} s")
    removed = torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(0))
    removed = removed[: options.models]
    weights = leave_one_out(removed)
    newton(data, weights, base)
    limit.check()
    ours, theirs = [], []
    for _ in range(options.rounds):
        seconds, theta, steps = timed(lambda: newton(data, weights, base))
        ours.append(seconds)
        print(f"newton {seconds:7.2f} s, {steps} steps", flush=True)
        seconds, other, gradients = timed(lambda: lbfgs_loop(data, removed, base))
        theirs.append(seconds)
        print(f"l-bfgs {seconds:7.2f} s, {gradients} gradients a model", flush=True)
    exact = Data(data.images.double(), data.labels)
    whole = problem(exact, leave_one_out(removed, torch.float64))
    at, there = whole.evaluate(theta.double()), whole.evaluate(other.double())
    print(f"median: newton {statistics.median(ours):.2f} s, l-bfgs {statistics.median(theirs):.2f}")
    print(f"ratio: {statistics.median(theirs) / statistics.median(ours):.1f}x")
    print(f"largest gradient norm in float64: {float(at.gradient.norm(dim=1).max()):.1e} newton, "
          f"{float(there.gradient.norm(dim=1).max()):.1e} l-bfgs")  # fmt: skip
    gap = (at.objective - there.objective).abs().max()
    print(f"largest difference of final objectives: {float(gap):.1e}")


if __name__ == "__main__":
    main()
