"""Tries a stack's training for a few steps, to tell how long all of it will take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from fragility.execution.stacks import stack_problem
from fragility.execution.workbench import Workbench
from fragility.numerics.evaluate import Halfway, evaluate
from fragility.numerics.network import activations
from fragility.numerics.stack import StackProblem
from fragility.plan.tasks import PlannedCell, Task
from fragility.training import Fit, Recorder, Start, Training

_TIMED_STEPS = 5
_PROBE_STEPS = 200
_SHORT = 20
_SAMPLE_SECONDS = 0.05
_BOOKKEEPING_SECONDS = 5e-4

_TRIED = 2 * 10**7
"""Activations of a pass over the examples from which some of the examples are tried."""

_TRIED_BATCHES = 8


@dataclass(frozen=True)
class _Stack:
    """A stack with one start for all of its models; `building` are the seconds it took to make."""

    trainings: list[Training]
    problem: StackProblem
    theta: Tensor
    orders: list[int]
    building: float

    def fit(self, limit: int | None = None) -> tuple[float, Fit]:
        """Trains it, with another limit of steps or epochs; returns the seconds too."""
        trainings = [training.limited(limit, None) for training in self.trainings]
        start = Start(self.theta.expand(len(trainings), -1), orders=self.orders)
        started = perf_counter()
        fit = trainings[0].fit(trainings, self.problem, start, Recorder())
        return perf_counter() - started, fit

    def some(self, rows: list[int]) -> _Stack:
        """Returns a stack of some of the models."""
        trainings = [self.trainings[row] for row in rows]
        orders = [self.orders[row] for row in rows]
        problem = self.problem.select(torch.tensor(rows, device=self.theta.device))
        return replace(self, trainings=trainings, problem=problem, orders=orders)

    def on_some_examples(self) -> tuple[_Stack, float]:
        """Returns the stack on the first of many images, and how many times as many there are."""
        n = self.problem.weights.shape[1]
        batches = _TRIED_BATCHES * int(getattr(self.trainings[0], "batch_size", 1))
        kept = max(batches, _TRIED // (self.problem.models * self.problem.activations))
        # Whether a chain is compiled depends on the examples, too.
        if self.problem.chained or kept >= n:
            return self, 1.0
        return replace(self, problem=self.problem.of_examples(slice(kept))), n / kept


def training_seconds(bench: Workbench, tasks: tuple[Task, ...]) -> float:
    """Returns the seconds that a stack will take, approximately.

    A few steps are timed from initial values. A training that stops at a gradient norm is tried on
    one model first, a retraining from where a short base training ends: if it does not stop soon,
    the limit of steps is assumed; if it stops within a few steps, whole trainings of a few models
    are timed instead.
    """
    stack = _stack(bench, tasks)
    evaluating = _evaluation_seconds(bench, bench.cell(tasks[0]), tasks[0])
    rest = stack.building + (evaluating + _BOOKKEEPING_SECONDS) * len(tasks)
    longest = max(stack.trainings, key=lambda training: training.budget)
    steps = longest.budget
    if longest.gradient_norm is not None and longest.counts == "steps":
        stack = _from_base(bench, tasks[0], stack)
        # The second, as the first is what the base was trained as: they lack different examples.
        _, fit = stack.some([min(1, len(tasks) - 1)]).fit(min(steps, _PROBE_STEPS))
        if fit.converged[0]:
            steps = int(fit.steps[0])
            if steps <= _SHORT:
                return _whole_seconds(stack) + rest
    # The first pass pays for what is new to torch, too.
    # An epoch has steps enough, and several would be a good part of the work.
    few, timed = (0, 1) if longest.counts == "epochs" else (1, _TIMED_STEPS)
    stack, times = stack.on_some_examples()
    stack.fit(few)
    short, _ = stack.fit(few)
    long, _ = stack.fit(few + timed)
    return max(0.0, long - short) / timed * steps * times + rest


def _whole_seconds(stack: _Stack) -> float:
    """Returns the seconds of all trainings, from some of them: one pays for what all share."""
    count = len(stack.trainings)
    stack.some([0]).fit()
    one, _ = stack.some([0]).fit()
    rows, some = [0], one
    while len(rows) < count and (len(rows) == 1 or some < _SAMPLE_SECONDS):
        # Spread over the stack: base models of their own cost more than others' retrainings.
        rows = list(range(0, count, max(1, count // (4 * len(rows)))))
        some, _ = stack.some(rows).fit()
    each = max(0.0, some - one) / max(1, len(rows) - 1)
    return some + each * (count - len(rows))


def _stack(bench: Workbench, tasks: tuple[Task, ...]) -> _Stack:
    """Returns the stack of some tasks, from the initial values of one seed.

    Every retrained model lacks an example, the next one each; which ones is not known yet.
    """
    started = perf_counter()
    cells = [bench.cell(task) for task in tasks]
    trainings = [_training(bench, task) for task in tasks]
    first, dtype = cells[0], trainings[0].torch_dtype
    network, n = bench.network(first), first.facts.n_train
    layout = network.layout
    if tasks[0].procedure is not None:
        layout = network.select(first.cell.procedures[tasks[0].procedure].parameters)
    initial = {name: value.to(dtype) for name, value in bench.initial(first, 0).items()}
    frozen = {name: value for name, value in initial.items() if name not in layout.names}
    weights = [np.full(n, 1 / n) for _ in tasks]
    if tasks[0].procedure is not None:
        for place, own in enumerate(weights):
            own[place % n] = 0
    orders = [task.order_seed or 0 for task in tasks]
    problem = stack_problem(bench, cells, layout, [frozen] * len(tasks), weights, trainings, orders)
    theta = layout.flatten(initial)
    return _Stack(trainings, problem, theta, orders, perf_counter() - started)


def _training(bench: Workbench, task: Task) -> Training:
    cell = bench.cell(task).cell
    if task.procedure is None:
        return cell.training
    return cell.procedures[task.procedure].retraining(cell.training)


def _from_base(bench: Workbench, task: Task, stack: _Stack) -> _Stack:
    """Returns a stack that starts where a short training of its first model ends, if it is warm."""
    cell = bench.cell(task).cell
    if task.procedure is None or cell.procedures[task.procedure].conduct.cold:
        return stack
    if cell.training.counts == "epochs":
        return stack
    base = replace(stack.some([0]), trainings=[cell.training])
    _, fit = base.fit(min(cell.training.budget, _PROBE_STEPS))
    return replace(stack, theta=fit.theta[0])


def tried_examples(planned: PlannedCell) -> int:
    """Returns on how many examples at most one model is tried."""
    return max(1, _TRIED // activations(planned.network, planned.facts.input_shape))


def _evaluation_seconds(bench: Workbench, planned: PlannedCell, task: Task) -> float:
    """Returns the seconds that the losses of one model's examples take.

    Behind a frozen prefix only the rest of the network is evaluated for each retraining.
    """
    tensors = bench.examples(planned, planned.cell.training.torch_dtype)
    sets = [(tensors.test_inputs, tensors.test_targets)]
    if task.kind == "train":
        sets.append((tensors.inputs, tensors.targets))
    parameters = bench.initial(planned, 0)
    network, loss = bench.network(planned), bench.loss(planned)
    seconds = 0.0
    most = tried_examples(planned)
    parts = None
    if task.procedure is not None:
        parts = network.split(network.select(planned.cell.procedures[task.procedure].parameters))
    halfway = parts and Halfway.of(network, parts, parameters, tensors.test_inputs[:most])
    # The first pass also pays for whatever torch loads when it is first asked.
    for _ in range(2):
        seconds = 0.0
        for inputs, targets in sets:
            started = perf_counter()
            if halfway is None:
                evaluate(network, loss, parameters, inputs[:most], targets[:most])
            else:
                halfway.evaluate(loss, parameters, targets[:most])
            seconds += (perf_counter() - started) * max(1.0, len(inputs) / most)
    return seconds
