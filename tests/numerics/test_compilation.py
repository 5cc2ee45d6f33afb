"""Compiled gradients against the eager ones and plain loops, and when there are none."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from fragility.models.bnn_mlp import BayesianMLP
from fragility.models.mlp import MLP
from fragility.numerics import compilation, stack
from fragility.numerics.compilation import (
    COMPILED,
    SHARED_ONLY,
    compiled,
    compiler,
    eager_because,
)
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.network import Network
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start, State
from fragility.training.full_batch import FullBatch
from fragility.training.minibatch import Minibatch
from tests.problems import data

FEATURES, CLASSES, N, MODELS, BATCH = 5, 3, 40, 7, 16
MODEL = MLP(hidden=(4,), activation="selu")
DECAY = 0.02
PAYS_NOT = "torch.compile does not pay here (benchmarks/torch_compile.py)"
# With compiler or without, a stack gives the same numbers; it says which it was.
USED = COMPILED if compiler() else "eager: no C++ compiler"


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stack is worth compiling, in parts of three models: 0-2, 3-5 and, anew, 4-6."""
    monkeypatch.setattr(compilation, "WORK", 1)
    network = MODEL.network((FEATURES,), CLASSES)
    inputs, _ = data("classification", N, FEATURES, CLASSES)
    one = StackProblem(network, CROSS_ENTROPY, network.layout, {}, inputs, inputs, inputs, inputs)
    monkeypatch.setattr(stack, "BLOCK_BYTES", 3 * 8 * N * one.activations)


def problem() -> StackProblem:
    """Models that each lack one example, but the first."""
    network = MODEL.network((FEATURES,), CLASSES)
    inputs, targets = data("classification", N, FEATURES, CLASSES)
    weights = torch.full((MODELS, N), 1 / N, dtype=torch.float64)
    weights[torch.arange(1, MODELS), torch.arange(1, MODELS)] = 0
    decay = torch.full((MODELS, 1), DECAY, dtype=torch.float64)
    return StackProblem(network, CROSS_ENTROPY, network.layout, {}, inputs, targets, weights, decay)


def start() -> torch.Tensor:
    layout = problem().layout
    shape = (FEATURES,)
    seeds = [MODEL.initial(shape, CLASSES, k, torch.float64) for k in range(MODELS)]
    return torch.stack([layout.flatten(seed) for seed in seeds])


def training(**fields: Any) -> FullBatch:
    made = {
        "kind": "full_batch",
        "steps": 200,
        "dtype": "float64",
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "schedule": {"kind": "plateau", "patience": 5},
    }
    return FullBatch.model_validate({**made, **fields})


def alone(k: int, steps: int) -> torch.Tensor:
    """A plain loop with torch.nn and torch.optim."""
    module = MODEL.build((FEATURES,), CLASSES).double()
    torch.nn.utils.vector_to_parameters(start()[k], module.parameters())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=5)
    whole = problem()
    for _ in range(steps):
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(module(whole.inputs), whole.targets, reduction="none")
        loss = losses @ whole.weights[k]
        loss.backward()
        optimizer.step()
        schedule.step(loss.item())
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach()


def test_a_compiled_gradient_is_the_eager_one() -> None:
    whole, theta = problem(), start()
    fused, how = compiled(whole, 1)
    assert how == USED
    assert (fused.compiled is not None) == (how == COMPILED)
    eager, found = whole.evaluate(theta), fused.evaluate(theta)
    for name, value in vars(eager).items():
        torch.testing.assert_close(getattr(found, name), value, rtol=0, atol=1e-14)
    # Fewer models than a part, other examples, a batch for each model: as without.
    few, other = torch.tensor([5, 1]), torch.arange(BATCH)
    own = torch.stack([torch.roll(torch.arange(N), k) for k in range(MODELS)])
    for one in (
        lambda p: p.select(few).evaluate(theta[few]),
        lambda p: p.evaluate_rows(theta, other),
        lambda p: p.evaluate_rows(theta, own),
    ):
        assert torch.equal(one(fused).gradient, one(whole).gradient)


def test_a_model_of_a_compiled_stack_equals_itself_trained_alone() -> None:
    some = training()
    fit = some.fit([some] * MODELS, problem(), Start(start()), Recorder())
    assert fit.gradients == USED
    for k in range(MODELS):
        torch.testing.assert_close(fit.theta[k], alone(k, 200), rtol=0, atol=1e-9)


def test_compiled_layers_of_moments_equal_the_eager_ones() -> None:
    model = BayesianMLP(hidden=(4,), activation="tanh", biases="additive", objective="published")
    network, plain = model.network((FEATURES,), CLASSES), problem()
    layout, loss = network.layout, model.loss("classification", N)
    whole = replace(plain, network=network, layout=layout, loss=loss)
    seeds = [model.initial((FEATURES,), CLASSES, k, torch.float64) for k in range(MODELS)]
    theta = torch.stack([layout.flatten(seed) for seed in seeds])
    fused, how = compiled(whole, 10)
    assert how == USED
    found, eager = fused.evaluate(theta), whole.evaluate(theta)
    torch.testing.assert_close(found.gradient, eager.gradient, rtol=0, atol=1e-14)
    torch.testing.assert_close(found.data_loss, eager.data_loss, rtol=0, atol=1e-14)


class Kept:
    """Keeps the state at one look, and interrupts the training there."""

    def __init__(self, at: int) -> None:
        self.at, self.looks = at, 0
        self.state: State | None = None

    def due(self) -> bool:
        self.looks += 1
        return self.state is None and self.looks == self.at

    def save(self, state: State) -> None:
        self.state = {name: value.clone() for name, value in state.items()}
        raise KeyboardInterrupt

    def load(self) -> State | None:
        return self.state


@pytest.mark.parametrize(
    ("leaving", "late", "at"), [(3, False, 1), (3, False, 40), (3, True, 18), (5, True, 70)]
)
def test_an_interruption_changes_no_bit(
    leaving: int, late: bool, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some models leave before it. The parts of four others overlap; two are fewer than a part.
    stack = [training(steps=12 if k < leaving else 80) for k in range(MODELS)]
    if late:
        # Nobody knows how long they take: compiled at step 10, and two left over at step 46.
        stack = [one.model_copy(update={"gradient_norm": 1e-15}) for one in stack]
        monkeypatch.setattr(compilation, "WORK", 10 * MODELS * N * problem().activations)
    undisturbed = stack[0].fit(stack, problem(), Start(start()), Recorder())
    kept = Kept(at)
    with pytest.raises(KeyboardInterrupt):
        stack[0].fit(stack, problem(), Start(start()), Recorder(checkpoint=kept))
    # Another process would compile anew.
    compilation._compiled.cache_clear()
    resumed = stack[0].fit(stack, problem(), Start(start()), Recorder(checkpoint=kept))
    assert torch.equal(resumed.theta, undisturbed.theta)
    assert resumed.gradients == undisturbed.gradients == USED


def test_what_took_as_many_gradients_as_pay_is_compiled_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts: list[tuple[int, int | None]] = []

    def noted(problem: StackProblem, gradients: int, *shape: int | None) -> Any:
        found, how = compiled(problem, gradients, *shape)
        parts.append((gradients, found.compiled and found.compiled.models))
        return found, how

    monkeypatch.setattr("fragility.training._compiling.compiled", noted)
    monkeypatch.setattr(compilation, "WORK", 10 * MODELS * N * problem().activations)
    stack = [training(steps=12 if k < 5 else 80, gradient_norm=1e-15) for k in range(MODELS)]
    fit = stack[0].fit(stack, problem(), Start(start()), Recorder())
    for k, steps in ((0, 12), (6, 80)):
        torch.testing.assert_close(fit.theta[k], alone(k, steps), rtol=0, atol=1e-9)
    if compiler():
        assert parts == [(0, None), (10 * MODELS, 3), (10 * MODELS, 2)]


def test_minibatches_in_a_shared_order_are_compiled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"kind": "minibatch", "batch_size": BATCH, "epochs": 60, "dtype": "float64"}
    some = Minibatch.model_validate(fields)

    def fit(orders: list[int]) -> Any:
        return some.fit([some] * MODELS, problem(), Start(start(), orders=orders), Recorder())

    fused, own = fit([4] * MODELS), fit(list(range(MODELS)))
    assert fused.gradients == USED
    assert own.gradients == f"eager: {SHARED_ONLY}"
    monkeypatch.setattr(compilation, "WORK", 1e30)
    torch.testing.assert_close(fused.theta, fit([4] * MODELS).theta, rtol=0, atol=1e-9)


def reason(problem: StackProblem, gradients: int = 1) -> str:
    same, how = compiled(problem, gradients)
    assert same is problem
    assert how.startswith("eager: ")
    return how.removeprefix("eager: ")


def test_what_is_not_compiled_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = problem()
    convolution = Network(nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 3, 5), nn.Flatten()))
    own = whole.inputs.expand(MODELS, -1, -1)
    other = SHARED_ONLY
    assert reason(replace(whole, network=convolution, layout=convolution.layout)) == other
    assert reason(replace(whole, inputs=own, own_inputs=True)) == other
    work = MODELS * N * whole.activations
    monkeypatch.setattr(compilation, "WORK", work + 1)
    assert reason(whole, MODELS) == PAYS_NOT
    # What hands on moments pays sooner.
    network = BayesianMLP(hidden=(4,)).network((FEATURES,), CLASSES)
    moments = replace(whole, network=network, layout=network.layout)
    assert eager_because(moments, 2, N) != PAYS_NOT
    monkeypatch.setattr(compilation, "WORK", 20 * N * moments.activations + 1)
    assert eager_because(moments, 2, N) == PAYS_NOT
    monkeypatch.setattr(compilation, "WORK", work)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert reason(whole, MODELS) == "no C++ compiler"


def test_a_compilation_that_fails_falls_back(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # A compiler that is none, for a shape that no other test compiles.
    monkeypatch.setattr(compilation, "compiler", lambda: "c++")
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    whole = problem().select(slice(0, 1))
    assert reason(whole).startswith("torch.compile failed (")
    some = training(steps=5)
    fit = some.fit([some], whole, Start(start()[:1]), Recorder())
    torch.testing.assert_close(fit.theta[0], alone(0, 5), rtol=0, atol=1e-12)
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_while_compiling_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the compiler takes it for a failure of its own."""

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("the compiler was killed")

    monkeypatch.setattr(compilation, "_compiled", interrupted)
    monkeypatch.setattr(compilation, "eager_because", lambda *arguments: None)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        compiled(problem(), 1)
    assert signal.getsignal(signal.SIGINT) is before
