"""A training taken once more against the training itself, and its steps against autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.history import Adjoint, History
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel
from fragility.training import Recorder, State
from fragility.training._steered import steered
from fragility.training.newton import Newton
from fragility.training.optimizers import FirstOrder
from fragility.training.optimizers.sgd import SGD
from fragility.training.replay import history
from fragility.training.restraints import Averaging, EarlyStopping, Restraints
from tests.trajectories import FREE, OPTIMIZERS, ORDER, Run, full_batch, minibatch

NET = MLP(hidden=(4,), activation="tanh")
SWA = Averaging(start=0.5, learning_rate=0.02, anneal=0.2)
PLATEAU = {"kind": "plateau", "patience": 2, "threshold": 0.02}
RUNS = {
    "sgd": Run(NET, full_batch("sgd", schedule={"kind": "step", "every": 7, "factor": 0.5})),
    "momentum to a gradient norm": Run(NET, full_batch("momentum", 400, gradient_norm=0.05)),
    "nesterov": Run(NET, minibatch("nesterov", schedule={"kind": "cosine"})),
    "adam on a plateau": Run(NET, full_batch("adam", 60, schedule=PLATEAU)),
    "amsgrad": Run(NET, minibatch("amsgrad", schedule=PLATEAU)),
    "decoupled, stopped early": Run(
        NET,
        minibatch("adam", 80),
        restraints=Restraints(decoupled=0.1, early_stopping=EarlyStopping(2, 0.02)),
    ),
    "decoupled on the full batch": Run(
        NET,
        full_batch("adam", schedule={"kind": "cosine", "floor": 1e-3}),
        restraints=Restraints(decoupled=0.1),
    ),
    "clipped": Run(NET, minibatch("momentum"), restraints=Restraints(clipping=0.2, decoupled=0.1)),
    "averaged": Run(NET, full_batch("adam"), restraints=Restraints(averaging=SWA)),
    "float32": Run(NET, minibatch("adam", dtype="float32")),
    "one step": Run(NET, full_batch("adam", 1)),
}


class Everything:
    """Notes the parameters of the first model at every step."""

    every = 1

    def __init__(self) -> None:
        self.theta: list[torch.Tensor] = []

    def observe(
        self, step: int, theta: torch.Tensor, models: torch.Tensor, data_loss: torch.Tensor
    ) -> None:
        self.theta.append(theta[0].clone())

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        raise NotImplementedError


def known(model: TrainedModel) -> History:
    assert model.history is not None
    return model.history


@pytest.mark.parametrize("name", RUNS)
def test_every_step_and_the_end_are_those_of_the_training(name: str) -> None:
    """The same bits: alone, a model is trained by the same operations."""
    run = RUNS[name]
    seen = Everything()
    fit = run.fit(run.weights(), Recorder(trajectory=seen))
    found = known(run.model)
    assert torch.equal(found.end, (fit.theta if fit.iterate is None else fit.iterate)[0])
    assert found.averaged == (fit.iterate is not None)
    assert len(found.rates) == int(fit.steps) > 0
    steps = [step for part in found.segments for step in found.replay(part.start, part.stop)]
    assert [k for part in found.segments for k in part] == list(range(len(steps)))
    for step, theta in zip(steps, seen.theta, strict=False):
        assert torch.equal(step.theta, theta)
    assert [step.rate for step in steps] == found.rates.tolist()


def test_what_stops_a_training_stops_it_when_it_is_taken_once_more() -> None:
    """The cases above that stop before their limit do so, and the plateau's rate falls."""
    stopped = RUNS["momentum to a gradient norm"], 400
    early = RUNS["decoupled, stopped early"], 320
    for run, most in (stopped, early):
        assert 5 < len(known(run.model).rates) < most
    rates = known(RUNS["adam on a plateau"].model).rates
    assert rates[-1] < rates[0] / 5


def test_rates_are_those_of_the_schedule() -> None:
    rates = known(RUNS["sgd"].model).rates
    expected = [0.2 * 0.5 ** (step // 7) for step in range(30)]
    torch.testing.assert_close(rates, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ["adam on a plateau", "amsgrad"])
def test_steps_may_be_read_from_any_place(name: str) -> None:
    found = known(RUNS[name].model)
    part = found.segments[1]
    whole, tail = found.replay(part.start, part.stop), found.replay(part.stop - 2, part.stop)
    assert len(tail) == 2
    for one, same in zip(whole[-2:], tail, strict=True):
        assert torch.equal(one.theta, same.theta)
        assert torch.equal(one.gradient, same.gradient)


def test_an_epoch_s_batches_hold_every_example_once() -> None:
    run = RUNS["nesterov"]
    found = known(run.model)
    # 40 examples in batches of 12: four a epoch, the last of 4 examples.
    for epoch in (0, 3):
        rows = [step.rows for step in found.replay(4 * epoch, 4 * epoch + 4)]
        assert [len(r) for r in rows if r is not None] == [12, 12, 12, 4]
        assert sorted(torch.cat([r for r in rows if r is not None]).tolist()) == list(range(40))


@pytest.mark.parametrize("name", ["adam on a plateau", "nesterov"])
def test_a_step_s_gradient_is_that_of_the_mean_over_its_rows(name: str) -> None:
    run = RUNS[name]
    for step in known(run.model).replay(0, 6):
        point = step.theta.clone().requires_grad_()
        rows = slice(None) if step.rows is None else step.rows
        losses = run.model.losses_at(
            run.model.network.layout, point, run.model.inputs[rows], run.model.targets[rows]
        )
        objective = losses.mean() + run.strength / 2 * point.square().sum()
        (expected,) = torch.autograd.grad(objective, point)
        torch.testing.assert_close(step.gradient, expected, rtol=1e-10, atol=1e-13)


def test_beside_other_models_it_ends_there_up_to_rounding() -> None:
    run = Run(NET, full_batch("adam", 200))
    weights = run.weights(3)
    weights[1:] *= torch.rand(2, 40, dtype=torch.float64)
    torch.testing.assert_close(
        run.fit(weights).theta[0], known(run.model).end, rtol=1e-9, atol=1e-12
    )


def test_a_long_training_keeps_about_a_square_root_of_its_steps() -> None:
    found = known(Run(NET, full_batch("sgd", 400)).model)
    assert [len(part) for part in found.segments] == [20] * 20


def test_a_training_of_no_steps_has_an_empty_history() -> None:
    found = known(Run(NET, full_batch("sgd", 0)).model)
    assert len(found.rates) == len(found.segments) == 0
    assert torch.equal(found.start, found.end)


def test_only_first_order_training_can_be_followed() -> None:
    model = Run(Linear(), full_batch("sgd", 1)).model
    for training in (full_batch("lbfgs"), Newton()):
        assert history(training, model, lambda: model.parameters, ORDER) is None


def test_the_features_of_a_frozen_prefix_have_no_history() -> None:
    model = Run(NET, full_batch("sgd", 3)).model
    assert model.to(torch.float32).history is model.history is not None
    assert on_features(model, model.network.select("last_layer")).history is None


def stepper_of(name: str, size: int, restraints: Restraints | None = None) -> FirstOrder:
    optimizer: Any = full_batch(name).optimizer  # type: ignore[attr-defined]
    theta = torch.zeros(1, size, dtype=torch.float64)
    stepper = optimizer.stepper([optimizer], theta)
    assert isinstance(stepper, FirstOrder)
    return steered(stepper, [restraints or Restraints()], theta)


STEPS = [(name, FREE) for name in OPTIMIZERS if name != "lbfgs"]
STEPS += [("adam", Restraints(decoupled=0.7)), ("momentum", Restraints(clipping=0.5))]
STEPS += [("amsgrad", Restraints(clipping=0.5, decoupled=0.7)), ("sgd", Restraints(clipping=99))]


@pytest.mark.parametrize(("name", "restraints"), STEPS)
def test_pulling_back_a_step_is_autograd_of_the_step(name: str, restraints: Restraints) -> None:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    stepper, rates = stepper_of(name, 6, restraints), torch.full((1, 1), 0.03).double()
    theta, gradient = drawn(1, 6), drawn(1, 6)
    for _ in range(4):
        theta = stepper.move(theta, drawn(1, 6), rates)
    remembered = {n: v.clone() for n, v in stepper.state().items()}
    names = [n for n in remembered if n != "count"]
    after = Adjoint(drawn(3, 6), {n: drawn(3, 6) for n in names})
    before, slope = stepper.pull(theta, gradient, rates, after)
    assert all(torch.equal(value, stepper.state()[n]) for n, value in remembered.items())
    leaves = [v.clone().requires_grad_() for v in (theta, gradient, *map(remembered.get, names))]
    stepper.load({**remembered, **dict(zip(names, leaves[2:], strict=True))})
    ends = [stepper.move(leaves[0], leaves[1], rates), *map(stepper.state().get, names)]
    for row in range(3):
        along = [value[row : row + 1] for value in (after.theta, *map(after.of, names))]
        expected = torch.autograd.grad(ends, leaves, along, retain_graph=True)
        found = [before.theta, slope, *map(before.of, names)]
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["adam", "amsgrad"])
def test_where_no_gradient_ever_was_a_step_has_the_slope_of_its_limit(name: str) -> None:
    """Adam's first step is -r g / (|g| + epsilon), whose slope at 0 is -r / epsilon."""
    zero, rates = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 1), 0.03).double()
    after = Adjoint(torch.ones(1, 2, dtype=torch.float64))
    before, slope = stepper_of(name, 2).pull(zero, zero, rates, after)
    torch.testing.assert_close(slope, torch.full_like(zero, -0.03 / 1e-8))
    assert all(bool(torch.isfinite(before.of(n)).all()) for n in ("first", "second", "largest"))
    little = torch.full_like(zero, 1e-13)
    moved = stepper_of(name, 2).move(zero, little, rates)
    torch.testing.assert_close(moved / little, slope, rtol=1e-4, atol=0)


def test_a_rule_without_memory_hands_back_none_of_it() -> None:
    plain = SGD(learning_rate=0.1)
    stepper = plain.stepper([plain], torch.zeros(1, 2))
    assert isinstance(stepper, FirstOrder)
    before, slope = stepper.pull(
        torch.zeros(1, 2), torch.zeros(1, 2), torch.full((1, 1), 0.1), Adjoint(torch.ones(3, 2))
    )
    torch.testing.assert_close(slope, torch.full((3, 2), -0.1))
    assert not bool(before.of("velocity").any())
