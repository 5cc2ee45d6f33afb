"""Minibatch training against plain torch loops, and every stack against its models alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.identity import derive_seed
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.training import Fit, Recorder, Start, State
from fragility.training.minibatch import Minibatch
from fragility.training.restraints import Averaging, EarlyStopping, Restraints

MODEL = MLP(hidden=(5,), activation="tanh")
SHAPE, CLASSES, N = (4,), 3, 30

MakeOptimizer = Callable[[Any, float], torch.optim.Optimizer]
MakeSchedule = Callable[[torch.optim.Optimizer], Any]


def examples(n: int = N) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, CLASSES, (n,), generator=generator)


def problem(weights: torch.Tensor, decay: torch.Tensor) -> StackProblem:
    network = MODEL.network(SHAPE, CLASSES)
    inputs, targets = examples(weights.shape[1])
    return StackProblem(network, CROSS_ENTROPY, network.layout, {}, inputs, targets, weights, decay)


def start(count: int) -> torch.Tensor:
    layout = MODEL.network(SHAPE, CLASSES).layout
    initial = [MODEL.initial(SHAPE, CLASSES, k, torch.float64) for k in range(count)]
    return torch.stack([layout.flatten(values) for values in initial])


def without_one(removed: list[int | None], removal: str = "drop", n: int = N) -> torch.Tensor:
    points = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
    procedure = LeaveOneOut.model_validate({"kind": "leave_one_out", "removal": removal, **points})
    members = [None if one is None else np.array([one]) for one in removed]
    return torch.stack([torch.from_numpy(procedure.weights(n, one)) for one in members])


def training(**fields: Any) -> Minibatch:
    given = {"kind": "minibatch", "batch_size": 8, "epochs": 50, "dtype": "float64", **fields}
    return Minibatch.model_validate(given)


def fit(
    stack: list[Minibatch],
    whole: StackProblem,
    theta: torch.Tensor,
    orders: list[int],
    restraints: list[Restraints] | None = None,
    **watchers: Any,
) -> Fit:
    begin = Start(theta, orders=orders)
    return stack[0].fit(stack, whole, begin, Recorder(**watchers), restraints or [])


class Alone:
    """One model trained with torch.nn and torch.optim, nothing of ours but the architecture."""

    def __init__(
        self,
        theta: torch.Tensor,
        kept: torch.Tensor,
        optimizer: torch.optim.Optimizer | MakeOptimizer,
        decay: float = 0.0,
    ) -> None:
        self.module = MODEL.build(SHAPE, CLASSES).double()
        torch.nn.utils.vector_to_parameters(theta.clone(), self.module.parameters())
        self.optimizer = optimizer(self.module.parameters(), decay)
        self.inputs, self.targets = examples(len(kept))
        self.kept = kept

    def epoch(self, seed: int, epoch: int, size: int, schedule: Any = None) -> float:
        """Goes through all examples once; returns the mean over the examples' losses."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
        total = 0.0
        for rows in torch.randperm(len(self.kept), generator=generator).split(size):
            self.optimizer.zero_grad()
            outputs = self.module(self.inputs[rows])
            losses = torch.nn.functional.cross_entropy(
                outputs, self.targets[rows], reduction="none"
            )
            loss = (self.kept[rows] * losses).sum() / len(rows)
            loss.backward()
            self.optimizer.step()
            if schedule is not None:
                schedule.step()
            total += loss.item() * len(rows)
        return total / len(self.kept)

    @property
    def theta(self) -> torch.Tensor:
        return torch.nn.utils.parameters_to_vector(self.module.parameters()).detach()


OPTIMIZERS: dict[str, tuple[dict[str, Any], MakeOptimizer]] = {
    "momentum": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        lambda p, d: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=d),
    ),
    "nesterov": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        lambda p, d: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=d),
    ),
    "adam": (
        {"kind": "adam", "learning_rate": 0.01},
        lambda p, d: torch.optim.Adam(p, lr=0.01, weight_decay=d),
    ),
}
SCHEDULES: dict[str, tuple[dict[str, Any], MakeSchedule]] = {
    "step": (
        {"kind": "step", "every": 30, "factor": 0.5},
        lambda o: torch.optim.lr_scheduler.StepLR(o, 30, 0.5),
    ),
    "cosine": (
        {"kind": "cosine", "floor": 1e-4},
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 200, 1e-4),
    ),
}


@pytest.mark.parametrize("orders", [[7, 7, 7, 7], [7, 8, 9, 10]], ids=["shared", "independent"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fused_model_equals_a_plain_torch_loop_over_200_steps(
    name: str, orders: list[int]
) -> None:
    ours, theirs = OPTIMIZERS[name]
    decay = [0.0, 0.005, 0.1, 0.02]
    removed: list[int | None] = [None, 3, 11, 29]
    weights, theta = without_one(removed, "zero_weight"), start(4)
    whole = problem(weights, torch.tensor(decay, dtype=torch.float64).unsqueeze(1))
    fused = fit([training(optimizer=ours)] * 4, whole, theta, orders)
    for k in range(4):
        alone = Alone(theta[k], (weights[k] > 0).double(), theirs, decay[k])
        for epoch in range(50):
            alone.epoch(orders[k], epoch, 8)
        assert int(fused.steps[k]) == 200
        torch.testing.assert_close(fused.theta[k], alone.theta, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_of_steps_counts_every_batch(name: str) -> None:
    ours, theirs = SCHEDULES[name]
    optimizer = {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.5}
    whole = problem(without_one([None]), torch.zeros(1, 1, dtype=torch.float64))
    fused = fit([training(optimizer=optimizer, schedule=ours)], whole, start(1), [4])
    alone = Alone(
        start(1)[0],
        torch.ones(N, dtype=torch.float64),
        lambda p, d: torch.optim.SGD(p, lr=0.1, momentum=0.5),
    )
    schedule = theirs(alone.optimizer)
    for epoch in range(50):
        alone.epoch(4, epoch, 8, schedule)
    torch.testing.assert_close(fused.theta[0], alone.theta, rtol=0, atol=1e-9)


def test_a_plateau_watches_the_mean_loss_of_the_epoch() -> None:
    fields = {
        "optimizer": {"kind": "adam", "learning_rate": 0.2},
        "schedule": {"kind": "plateau", "patience": 2},
        "epochs": 80,
    }
    whole = problem(without_one([None, None]), torch.zeros(2, 1, dtype=torch.float64))
    fused = fit([training(**fields)] * 2, whole, start(2), [1, 2])
    for k in range(2):
        ones = torch.ones(N, dtype=torch.float64)
        alone = Alone(start(2)[k], ones, lambda p, d: torch.optim.Adam(p, lr=0.2))
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(alone.optimizer, patience=2)
        for epoch in range(80):
            schedule.step(alone.epoch(k + 1, epoch, 8))
        assert alone.optimizer.param_groups[0]["lr"] < 0.1
        torch.testing.assert_close(fused.theta[k], alone.theta, rtol=0, atol=1e-8)


class Watching(Alone):
    """A plain loop whose rules go by the loss of an epoch's mean or of its last batch."""

    def lives(
        self, seed: int, last_batch: bool, schedule: Any, patience: int | None, epochs: int
    ) -> int:
        """Trains until the patience or the epochs are over; returns the epochs taken."""
        best, waited = float("inf"), 0
        for epoch in range(epochs):
            if waited == patience:
                return epoch
            generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
            losses, sizes = [], []
            for rows in torch.randperm(N, generator=generator).split(8):
                self.optimizer.zero_grad()
                outputs = self.module(self.inputs[rows])
                loss = torch.nn.functional.cross_entropy(outputs, self.targets[rows])
                loss.backward()
                self.optimizer.step()
                losses.append(loss.item())
                sizes.append(len(rows))
            mean = sum(one * size for one, size in zip(losses, sizes, strict=True)) / N
            watched = losses[-1] if last_batch else mean
            waited = 0 if watched < best else waited + 1
            best = min(best, watched)
            if schedule is not None:
                schedule.step(watched)
        return epochs


LAST = [True, False, True, False]


def test_early_stopping_and_plateau_watch_the_last_batch_of_the_models_that_say_so() -> None:
    """As Lightning's callback and scheduler do with a loss logged at every step."""
    rules = [Restraints(early_stopping=EarlyStopping(6, 0, last_batch=last)) for last in LAST]
    stack = [
        training(
            epochs=90,
            optimizer={"kind": "adam", "learning_rate": 0.05},
            schedule={
                "kind": "plateau",
                "patience": 2,
                "watches": "last_batch" if last else "epoch_mean",
            },
        )
        for last in LAST
    ]
    orders = [3, 3, 4, 4]
    whole = problem(without_one([None] * 4), torch.zeros(4, 1, dtype=torch.float64))
    fused = fit(stack, whole, start(4), orders, rules)
    ends = []
    for k, last in enumerate(LAST):
        ones = torch.ones(N, dtype=torch.float64)
        alone = Watching(start(4)[k], ones, lambda p, d: torch.optim.Adam(p, lr=0.05))
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(alone.optimizer, patience=2)
        epochs = alone.lives(orders[k], last, plateau, 6, 90)
        ends.append((epochs, alone.optimizer.param_groups[0]["lr"]))
        assert int(fused.steps[k]) == 4 * epochs
        torch.testing.assert_close(fused.theta[k], alone.theta, rtol=0, atol=1e-8)
        # And alone as in the stack.
        one = torch.tensor([k])
        single = fit([stack[k]], whole.select(one), start(4)[one], [orders[k]], [rules[k]])
        assert torch.equal(single.steps, fused.steps[one])
        torch.testing.assert_close(single.theta[0], fused.theta[k], rtol=0, atol=1e-9)
    assert all(epochs < 90 for (epochs, _), last in zip(ends, LAST, strict=True) if last)
    assert ends[0] != ends[1]
    assert ends[2] != ends[3]


def test_a_plateau_of_the_last_batch_is_another_than_of_the_mean() -> None:
    fields = {"optimizer": {"kind": "adam", "learning_rate": 0.2}, "epochs": 60}
    rates = {}
    for watches in ("last_batch", "epoch_mean"):
        schedule = {"kind": "plateau", "patience": 2, "watches": watches}
        whole = problem(without_one([None]), torch.zeros(1, 1, dtype=torch.float64))
        fused = fit([training(**fields, schedule=schedule)], whole, start(1), [1])
        ones = torch.ones(N, dtype=torch.float64)
        alone = Watching(start(1)[0], ones, lambda p, d: torch.optim.Adam(p, lr=0.2))
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(alone.optimizer, patience=2)
        alone.lives(1, watches == "last_batch", plateau, None, 60)
        rates[watches] = alone.optimizer.param_groups[0]["lr"]
        torch.testing.assert_close(fused.theta[0], alone.theta, rtol=0, atol=1e-8)
        assert float(fused.memory["schedule/rate"][0]) == pytest.approx(rates[watches])
    assert rates["last_batch"] != rates["epoch_mean"]


@pytest.mark.parametrize("removal", ["zero_weight", "drop"])
def test_a_removed_example_leaves_its_place_in_the_shared_order_empty(removal: str) -> None:
    removed = 13
    whole = problem(without_one([removed], removal), torch.zeros(1, 1, dtype=torch.float64))
    sgd = {"kind": "sgd", "learning_rate": 0.3}
    fused = fit([training(optimizer=sgd, epochs=5)], whole, start(1), [2])
    module = MODEL.build(SHAPE, CLASSES).double()
    torch.nn.utils.vector_to_parameters(start(1)[0], module.parameters())
    inputs, targets = examples()
    # `drop`: every other example counts for n/(n-1), so that the epoch's mean is over n - 1.
    share = N / (N - 1) if removal == "drop" else 1.0
    for epoch in range(5):
        generator = torch.Generator().manual_seed(derive_seed(2, "epoch", epoch))
        for batch in torch.randperm(N, generator=generator).split(8):
            rows = batch[batch != removed]
            loss = torch.nn.functional.cross_entropy(
                module(inputs[rows]), targets[rows], reduction="sum"
            )
            gradients = torch.autograd.grad(share * loss / len(batch), list(module.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                    parameter -= 0.3 * gradient
    alone = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
    torch.testing.assert_close(fused.theta[0], alone, rtol=0, atol=1e-12)


@settings(max_examples=20)
@given(
    orders=st.lists(st.integers(0, 3), min_size=2, max_size=8),
    size=st.integers(1, 20),
    epochs=st.lists(st.integers(0, 12), min_size=8, max_size=8),
    patience=st.lists(st.none() | st.integers(1, 3), min_size=8, max_size=8),
    optimizer=st.sampled_from(["sgd", "adam"]),
    schedule=st.sampled_from(["none", "cosine", "plateau"]),
    gradient_norm=st.none() | st.just(0.1),
    averaged=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_a_model_in_a_stack_equals_itself_alone(
    orders: list[int],
    size: int,
    epochs: list[int],
    patience: list[int | None],
    optimizer: str,
    schedule: str,
    gradient_norm: float | None,
    averaged: list[bool],
) -> None:
    count, n = len(orders), 17
    generator = torch.Generator().manual_seed(count)
    weights = torch.rand(count, n, generator=generator, dtype=torch.float64) / n
    decay = torch.rand(count, 1, generator=generator, dtype=torch.float64) / 10
    stack = [
        training(
            batch_size=size,
            epochs=epochs[k],
            gradient_norm=gradient_norm,
            optimizer={"kind": optimizer, "learning_rate": 0.03 * (k + 1)},
            schedule={"kind": schedule},
        )
        for k in range(count)
    ]
    restraints = [
        Restraints(
            clipping=0.1 * (k + 1) if k % 3 else None,
            averaging=Averaging(0.3, 0.1 if k % 2 else None, 0.4) if averaged[k] else None,
            early_stopping=patience[k] and EarlyStopping(patience[k], 0.05),
            decoupled=0.2 * k or None,
        )
        for k in range(count)
    ]
    whole, theta = problem(weights, decay), start(count)
    fused = fit(stack, whole, theta, orders, restraints)
    for k in range(count):
        one = torch.tensor([k])
        alone = fit([stack[k]], whole.select(one), theta[one], [orders[k]], [restraints[k]])
        assert int(fused.steps[k]) == int(alone.steps[0])
        assert fused.converged[k] == alone.converged[0]
        torch.testing.assert_close(fused.theta[k], alone.theta[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(fused.grad_norm[k], alone.grad_norm[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(fused.final_loss[k], alone.final_loss[0], rtol=0, atol=1e-9)
        if alone.iterate is not None:
            assert fused.iterate is not None
            torch.testing.assert_close(fused.iterate[k], alone.iterate[0], rtol=0, atol=1e-9)


def test_early_stopping_lets_each_model_go_after_its_own_patience() -> None:
    sgd = {"kind": "sgd", "learning_rate": 0.5}
    rules = [Restraints(early_stopping=EarlyStopping(2, 0.02)), Restraints()]
    whole = problem(without_one([None, None]), torch.zeros(2, 1, dtype=torch.float64))
    stack = [training(epochs=60, optimizer=sgd)] * 2
    fused = fit(stack, whole, start(1).expand(2, -1), [6, 6], rules)
    ones = torch.ones(N, dtype=torch.float64)
    alone = Alone(start(1)[0], ones, lambda p, d: torch.optim.SGD(p, lr=0.5))
    best, waited, epoch = float("inf"), 0, 0
    while waited < 2:
        loss = alone.epoch(6, epoch, 8)
        better = loss < best * 0.98
        best, waited, epoch = (
            min(best, loss) if better else best,
            0 if better else waited + 1,
            epoch + 1,
        )
    assert epoch < 60
    assert fused.steps.tolist() == [epoch * 4, 60 * 4]
    torch.testing.assert_close(fused.theta[0], alone.theta, rtol=0, atol=1e-9)


def test_the_gradient_norm_is_that_of_the_whole_objective_at_the_end_of_an_epoch() -> None:
    decay = torch.full((1, 1), 0.3, dtype=torch.float64)
    sgd = {"kind": "sgd", "learning_rate": 0.01}
    whole = problem(without_one([5]), decay)
    fused = fit([training(epochs=500, optimizer=sgd, gradient_norm=0.02)], whole, start(1), [1])
    assert fused.converged == (True,)
    assert int(fused.steps[0]) % 4 == 0
    assert int(fused.steps[0]) < 500 * 4
    norm = whole.evaluate(fused.theta).gradient.norm(dim=1)
    torch.testing.assert_close(fused.grad_norm, norm)
    assert float(norm) <= 0.02


def test_a_diverging_model_is_said_to_diverge_and_leaves_the_others_alone() -> None:
    stack = [training(optimizer={"kind": "sgd", "learning_rate": rate}) for rate in (0.05, 1e200)]
    decay = torch.full((2, 1), 0.1, dtype=torch.float64)
    fused = fit(stack, problem(without_one([None, None]), decay), start(2), [0, 0])
    assert fused.diverged.tolist() == [False, True]
    assert int(fused.steps[0]) == 200
    assert int(fused.steps[1]) < 200


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


@pytest.mark.parametrize("at", [1, 4, 6, 9, 21])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_an_interrupted_training_goes_on_with_the_same_bits(at: int, optimizer: str) -> None:
    stack = [
        training(
            epochs=epochs,
            optimizer={"kind": optimizer, "learning_rate": 0.05},
            schedule={"kind": "plateau", "patience": 1},
        )
        for epochs in (1, 2, 12, 12, 12)
    ]
    averaging = Averaging(0.5, 0.1)
    restraints = [
        Restraints(early_stopping=EarlyStopping(3), averaging=averaging if k < 4 else None)
        for k in range(5)
    ]
    whole = problem(without_one([None] * 5), torch.full((5, 1), 0.1, dtype=torch.float64))
    undisturbed = fit(stack, whole, start(5), [1, 2, 3, 4, 4], restraints)
    kept = Kept(at)
    with pytest.raises(KeyboardInterrupt):
        fit(stack, whole, start(5), [1, 2, 3, 4, 4], restraints, checkpoint=kept)
    resumed = fit(stack, whole, start(5), [1, 2, 3, 4, 4], restraints, checkpoint=kept)
    assert torch.equal(resumed.theta, undisturbed.theta)
    assert torch.equal(resumed.steps, undisturbed.steps)
    assert torch.equal(resumed.initial_loss, undisturbed.initial_loss)
    assert resumed.iterate is not None
    assert undisturbed.iterate is not None
    assert torch.equal(resumed.iterate, undisturbed.iterate)
    for name, value in undisturbed.memory.items():
        assert torch.equal(resumed.memory[name], value)


def test_a_resumed_optimizer_goes_on_and_the_order_begins_anew() -> None:
    momentum = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}
    whole = problem(without_one([None]), torch.zeros(1, 1, dtype=torch.float64))
    some = training(epochs=3, optimizer=momentum)
    first = fit([some], whole, start(1), [5])
    second = some.fit([some], whole, Start(first.theta, first.memory, [5]), Recorder())
    ones = torch.ones(N, dtype=torch.float64)
    alone = Alone(start(1)[0], ones, lambda p, d: torch.optim.SGD(p, lr=0.05, momentum=0.9))
    for epoch in (0, 1, 2, 0, 1, 2):
        alone.epoch(5, epoch, 8)
    torch.testing.assert_close(second.theta[0], alone.theta, rtol=0, atol=1e-12)


class Notes:
    """Remembers which step was noted of which models, with the loss."""

    every = 3

    def __init__(self) -> None:
        self.notes: list[tuple[int, list[int]]] = []
        self.losses: list[torch.Tensor] = []

    def observe(
        self, step: int, theta: torch.Tensor, models: torch.Tensor, data_loss: torch.Tensor
    ) -> None:
        self.notes.append((step, models.tolist()))
        self.losses.append(data_loss)

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None: ...


def test_a_trajectory_is_noted_by_step_with_the_loss_of_all_examples() -> None:
    notes = Notes()
    stack = [training(epochs=1), training(epochs=3), training(epochs=3), training(epochs=3)]
    whole = problem(without_one([None] * 4), torch.zeros(4, 1, dtype=torch.float64))
    fused = fit(stack, whole, start(4), [0, 1, 2, 3], trajectory=notes)
    assert notes.notes == [
        (0, [0, 1, 2, 3]),
        (3, [0, 1, 2, 3]),
        (6, [1, 2, 3]),
        (9, [1, 2, 3]),
        (12, [1, 2, 3]),
    ]
    torch.testing.assert_close(notes.losses[0], fused.initial_loss)
    torch.testing.assert_close(notes.losses[-1], fused.final_loss[1:])


def test_a_batch_larger_than_the_data_is_the_full_batch() -> None:
    whole = problem(without_one([2]), torch.zeros(1, 1, dtype=torch.float64))
    sgd = {"kind": "sgd", "learning_rate": 0.1}
    fused = fit([training(batch_size=999, epochs=1, optimizer=sgd)], whole, start(1), [0])
    gradient = whole.evaluate(start(1)).gradient
    torch.testing.assert_close(fused.theta, start(1) - 0.1 * gradient, rtol=0, atol=1e-14)


def test_an_optimizer_that_compares_losses_is_refused() -> None:
    with pytest.raises(ValidationError, match="use sgd or adam"):
        training(optimizer={"kind": "lbfgs"})


def test_every_model_needs_the_seed_of_its_order() -> None:
    whole = problem(without_one([None]), torch.zeros(1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="seed of each model"):
        training().fit([training()], whole, Start(start(1)), Recorder())
