"""Whether torch.compile pays: gradients of stacks compiled, against the eager ones.

The 1,250 leave-one-out models of Iris (`benchmarks.iris`) at width 5 and depth 1, 3, 8, as networks
and as Bayesian ones (without their penalty), and the 200 of the digits MLP on minibatches of 64
(`benchmarks.minibatch`), float32, a step of Adam at a time.
Three ways alternate: eager; the gradient compiled, as trainings use it; gradient and move of Adam
compiled as one function. Printed are medians in us a model-step, the seconds that compiling took
(the first time in a process, nothing of it cached), and the number of steps after which it pays.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from benchmarks import iris, minibatch
from benchmarks.measure import machine
from fragility.models.bnn_mlp import BayesianMLP
from fragility.numerics.compilation import compiled
from fragility.numerics.stack import StackProblem, differentiated
from fragility.training._orders import permutation
from fragility.training.optimizers.adam import Adam

ENOUGH = 10**9
"""Gradients for which a compilation pays if it ever does."""
RATE = 1e-3


@dataclass(frozen=True)
class Case:
    """A stack, where it starts, and the batch of its steps; None for all examples."""

    name: str
    problem: StackProblem
    start: Tensor
    rows: Tensor | None

    @property
    def batch(self) -> int | None:
        return None if self.rows is None else len(self.rows)


def cases() -> list[Case]:
    found = []
    for depth in (1, 3, 8):
        side = iris.Side(depth, 5, 1250, steps=1, looped=0)
        found.append(Case(f"iris, depth {depth}", side.problem, side.start, None))
        found.append(bayesian(depth, side.problem))
    digits = minibatch.Side("shared", models=200, epochs=1, looped=0)
    rows = permutation(0, 0, digits.n)[: minibatch.BATCH]
    found.append(Case("digits", digits.problem, digits.start.repeat(200, 1), rows))
    return found


def bayesian(depth: int, problem: StackProblem) -> Case:
    model = BayesianMLP(
        width=5, depth=depth, activation="tanh", biases="additive", objective="published"
    )
    network = model.network((4,), 3)
    start = network.layout.flatten(model.initial((4,), 3, 0, torch.float32))
    loss = model.loss("classification", len(problem.inputs))
    moments = replace(problem, network=network, layout=network.layout, loss=loss)
    return Case(f"iris, Bayesian, depth {depth}", moments, start.repeat(problem.models, 1), None)


class Run:
    """Steps of Adam, one after the other."""

    def __init__(self, case: Case, problem: StackProblem) -> None:
        self.problem, self.rows, self.theta = problem, case.rows, case.start.clone()
        self.adam = Adam().stepper([Adam()] * problem.models, self.theta)
        self.rates = torch.full((problem.models, 1), RATE)

    def step(self) -> None:
        if self.rows is None:
            here = self.problem.evaluate(self.theta)
        else:
            here = self.problem.evaluate_rows(self.theta, self.rows)
        self.theta = self.adam.move(self.theta, here.gradient, self.rates)


class Whole(Run):
    """The same with gradient and move as one function, for the blocks that `compiled` chose."""

    def __init__(self, case: Case, problem: StackProblem) -> None:
        super().__init__(case, problem)
        assert problem.compiled is not None
        self.size, self.examples = problem.compiled.models, problem.compiled.examples
        self.stepper = Adam().stepper([Adam()] * self.size, self.theta[: self.size])
        self.state = self.adam.state()
        operations = make_fx(lambda *given: self.moved(*given))(*self.given(0))
        self.function = torch.compile(operations, fullgraph=True, dynamic=False)
        self.step()

    def moved(
        self, theta: Tensor, rates: Tensor, first: Tensor, second: Tensor, count: Tensor,
        weights: Tensor, inputs: Tensor, targets: Tensor, decay: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        part = replace(self.problem, weights=weights, inputs=inputs, targets=targets)
        losses, slope = differentiated(part, theta)
        self.stepper.load({"first": first, "second": second, "count": count})
        theta = self.stepper.move(theta, slope + decay * theta, rates)
        state = self.stepper.state()
        return theta, state["first"], state["second"], state["count"], losses

    def given(self, first: int) -> list[Tensor]:
        block = slice(first, first + self.size)
        state = [self.state[name][block] for name in ("first", "second", "count")]
        problem, rows = self.problem, slice(None) if self.rows is None else self.rows
        weights = problem.weights[block][:, rows] * (problem.weights.shape[1] / self.examples)
        data = [weights, problem.inputs[rows], problem.targets[rows], problem.decay[block]]
        return [self.theta[block], self.rates[block], *state, *data]

    def step(self) -> None:
        parts = []
        with torch.no_grad():
            for start in range(0, self.problem.models, self.size):
                first = min(start, self.problem.models - self.size)
                parts.append([one[start - first :] for one in self.function(*self.given(first))])
        joined = [torch.cat(blocks) for blocks in zip(*parts, strict=True)]
        self.theta = joined[0]
        self.state = dict(zip(("first", "second", "count"), joined[1:4], strict=True))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    started = perf_counter()
    result = work()
    return perf_counter() - started, result


def compare(case: Case, steps: int, rounds: int) -> None:
    models = case.problem.models
    seconds, (problem, how) = timed(lambda: compiled(case.problem, ENOUGH * models, case.batch))
    if problem.compiled is None:
        print(f"{case.name}: {how}")
        return
    whole_seconds, whole = timed(lambda: Whole(case, problem))
    runs = {"eager": Run(case, case.problem), "gradient": Run(case, problem), "whole step": whole}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            spent, _ = timed(lambda run=run: [run.step() for _ in range(steps)])
            if turn:
                times[name].append(spent / steps)
    medians = {name: median(spent) for name, spent in times.items()}
    gap = float((runs["eager"].theta - runs["gradient"].theta).abs().max())
    print(f"{case.name}: eager {medians['eager'] / models * 1e6:.1f} us a model-step")
    for name, cost in (("gradient", seconds), ("whole step", whole_seconds)):
        gained = medians["eager"] - medians[name]
        after = f"pays after {cost / gained:,.0f} steps" if gained > 0 else "never pays"
        print(
            f"  {name} compiled in {cost:.1f} s: {medians[name] / models * 1e6:.1f} us, "
            f"{medians['eager'] / medians[name]:.2f} times as fast, {after}"
        )
    saved = (medians["eager"] - medians["gradient"]) / models
    numbers = case.problem.activations * (case.batch or len(case.problem.inputs))
    print(f"  the gradient saves {saved / numbers * 1e9:.2f} ns an activation")
    print(f"  largest difference of a parameter after {(rounds + 1) * steps} steps {gap:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of torch; default: its own")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache: what an earlier process compiled would be found there.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        for case in cases():
            compare(case, arguments.steps, arguments.rounds)


if __name__ == "__main__":
    main()
