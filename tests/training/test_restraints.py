"""Averages, clipping and decoupled decay against torch's own, step for step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim.swa_utils import SWALR, AveragedModel

from fragility.numerics.stack import StackProblem
from fragility.training import Fit, Recorder, Start, Training
from fragility.training._orders import permutation
from fragility.training.full_batch import FullBatch
from fragility.training.newton import Newton
from fragility.training.restraints import Averaging, EarlyStopping, Restraints
from tests.training import test_minibatch as batches
from tests.training.test_floor import Floor, plateau
from tests.training.test_minibatch import Alone, Kept, problem, start, without_one

DECAY = [0.002, 0.02, 0.1]
PLATEAU = {"kind": "plateau", "patience": 3, "threshold": 1e-2}
SWA = [Averaging(0.5, 0.03, 0.2), Averaging(0.75, 0.01, 0.1), Averaging(0.3, None)]


def on_full_batch(steps: int = 60, **fields: Any) -> FullBatch:
    given = {"optimizer": {"kind": "adam", "learning_rate": 0.05}, **fields}
    return FullBatch.model_validate(
        {"kind": "full_batch", "steps": steps, "dtype": "float64", **given}
    )


def on_batches(epochs: int = 20, **fields: Any) -> Training:
    adam = {"kind": "adam", "learning_rate": 0.05}
    return batches.training(epochs=epochs, **{"optimizer": adam, **fields})


def fit(stack: list[Any], restraints: list[Restraints], **watchers: Any) -> Fit:
    count = len(stack)
    decay = torch.tensor(DECAY[:count], dtype=torch.float64).unsqueeze(1)
    whole, begin = problem(without_one([None] * count), decay), start(count)
    return stack[0].fit(
        stack, whole, Start(begin, orders=[3] * count), Recorder(**watchers), restraints
    )


class Plain(Alone):
    """A plain loop of torch's own, with the penalty written into the loss."""

    def __init__(self, k: int, optimizer: Any, clipping: float | None = None) -> None:
        super().__init__(start(3)[k], torch.ones(30, dtype=torch.float64), optimizer)
        self.penalty, self.clipping = DECAY[k], clipping

    def step(self, rows: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.module(self.inputs[rows]), self.targets[rows])
        square = sum(p.square().sum() for p in self.module.parameters())
        (loss + self.penalty / 2 * square).backward()
        if self.clipping is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clipping)
        self.optimizer.step()
        return loss.item()

    def unit(self, number: int, size: int | None) -> float:
        """A step on the full batch, or an epoch; returns the loss that schedules are told."""
        if size is None:
            return self.step(torch.arange(30))
        order = permutation(3, number, 30)
        return sum(self.step(rows) * len(rows) for rows in order.split(size)) / 30


def adam(parameters: Any, decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.05)


@pytest.mark.parametrize(
    ("training", "size", "units"), [(on_full_batch, None, 60), (on_batches, 8, 20)]
)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_averages_and_their_rates_are_torch_s(
    training: Any, size: int | None, units: int, k: int
) -> None:
    """As published loops have it: `if unit > start: average, anneal; else: schedule`."""
    plain, swa = Plain(k, adam), SWA[k]
    average = AveragedModel(plain.module)
    begin = round(swa.start * units)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        plain.optimizer, patience=3, threshold=1e-2
    )
    annealed = None
    if swa.learning_rate is not None:
        annealed = SWALR(plain.optimizer, swa.learning_rate, round(swa.anneal * units), "cos")
    rates = []
    for unit in range(units):
        loss = plain.unit(unit, size)
        if unit > begin:
            average.update_parameters(plain.module)
        if unit > begin and annealed is not None:
            annealed.step()
        else:
            plateau.step(loss)
        rates.append(plain.optimizer.param_groups[0]["lr"])
    assert int(average.n_averaged) == units - 1 - begin > 0
    fused = fit([training(units, schedule=PLATEAU)] * 3, [Restraints(averaging=a) for a in SWA])
    expected = torch.nn.utils.parameters_to_vector(average.module.parameters()).detach()
    torch.testing.assert_close(fused.theta[k], expected, rtol=0, atol=1e-9)
    assert fused.iterate is not None
    torch.testing.assert_close(fused.iterate[k], plain.theta, rtol=0, atol=1e-9)
    assert float((fused.theta[k] - fused.iterate[k]).norm()) > 1e-6
    if annealed is not None:
        # The plateau had cut the rate, which rose again.
        assert min(rates) < 0.05
        assert rates[-1] == swa.learning_rate


def test_what_is_said_of_an_average_is_measured_there() -> None:
    fused = fit([on_full_batch()], [Restraints(averaging=SWA[0])])
    decay = torch.tensor([[DECAY[0]]], dtype=torch.float64)
    here = problem(without_one([None]), decay).evaluate(fused.theta)
    torch.testing.assert_close(fused.grad_norm, here.gradient.norm(dim=1))
    torch.testing.assert_close(fused.final_loss, here.data_loss)


def test_a_model_that_averages_nothing_is_its_last_iterate() -> None:
    stack = [on_full_batch(3), on_full_batch(60), on_full_batch(60)]
    stop = Restraints(averaging=SWA[0], early_stopping=EarlyStopping(1, 0.9))
    fused = fit(stack, [Restraints(averaging=SWA[0]), stop, Restraints()])
    plain = fit(stack, [Restraints(), Restraints(early_stopping=stop.early_stopping), Restraints()])
    assert int(fused.steps[1]) < 30
    assert torch.equal(fused.steps, plain.steps)
    assert fused.iterate is not None
    assert plain.iterate is None
    torch.testing.assert_close(fused.theta, plain.theta, rtol=0, atol=1e-12)
    torch.testing.assert_close(fused.iterate, plain.theta, rtol=0, atol=1e-12)


RESTING = [
    Restraints(averaging=Averaging(0.75, 0.01, 0.1)),
    Restraints(averaging=Averaging(0.5, 0.03, 0.1), early_stopping=EarlyStopping(120)),
    Restraints(averaging=Averaging(0.9, 0.02, 0.1)),
]


@pytest.mark.parametrize(
    ("training", "size", "units"), [(on_full_batch, None, 400), (on_batches, 8, 260)]
)
def test_at_the_floor_a_model_rests_until_averaging_raises_its_rate(
    training: Any, size: int | None, units: int
) -> None:
    stack = [training(units, schedule=plateau())] * 3
    fused, rested = fit(stack, RESTING), 0
    for k, restraints in enumerate(RESTING):
        swa = restraints.averaging
        assert swa is not None
        assert swa.learning_rate is not None
        plain, begin = Plain(k, adam), round(swa.start * units)
        average, floor, resting, taken = AveragedModel(plain.module), Floor(plain), False, 0
        annealed = SWALR(plain.optimizer, swa.learning_rate, round(swa.anneal * units), "cos")
        stop, best, waited = restraints.early_stopping, float("inf"), 0
        for unit in range(units):
            if resting and unit <= begin:
                rested += 1
                continue
            if stop is not None and waited == stop.patience:
                break
            loss, taken = plain.unit(unit, size), taken + 1
            waited = 0 if loss < best * (1 - 1e-4) else waited + 1
            best = min(best, loss) if waited == 0 else best
            if unit > begin:
                average.update_parameters(plain.module)
                annealed.step()
            else:
                resting = floor.step(loss)
        assert int(fused.steps[k]) == taken * (1 if size is None else 4)
        expected = torch.nn.utils.parameters_to_vector(average.module.parameters()).detach()
        torch.testing.assert_close(fused.theta[k], expected, rtol=0, atol=1e-8)
    assert rested > units / 2


def test_a_stack_at_rest_takes_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = [on_full_batch(400, schedule=plateau())] * 3
    steps, evaluate, calls = fit(stack, RESTING).steps, StackProblem.evaluate, [0]

    def counted(whole: StackProblem, theta: torch.Tensor) -> Any:
        calls[0] += 1
        return evaluate(whole, theta)

    monkeypatch.setattr(StackProblem, "evaluate", counted)
    fit(stack[:1], RESTING[:1])
    # The start, the average at the end, and what lies between them.
    assert calls[0] == int(steps[0]) + 2


@pytest.mark.parametrize("training", [on_full_batch, on_batches])
def test_a_model_that_rests_in_a_stack_equals_itself_alone(training: Any) -> None:
    stack = [training(units, schedule=plateau()) for units in (300, 280, 260)]
    restraints = [RESTING[0], RESTING[2], Restraints()]
    fused, decay = fit(stack, restraints), torch.tensor(DECAY, dtype=torch.float64).unsqueeze(1)
    whole, begin = problem(without_one([None] * 3), decay), start(3)
    for k, one in enumerate(stack):
        rows = torch.tensor([k])
        alone = one.fit(
            [one], whole.select(rows), Start(begin[rows], orders=[3]), Recorder(), [restraints[k]]
        )
        assert int(fused.steps[k]) == int(alone.steps)
        torch.testing.assert_close(fused.theta[k], alone.theta[0], rtol=0, atol=1e-8)
        for name, value in alone.memory.items():
            torch.testing.assert_close(fused.memory[name][k], value[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("at", [120, 270, 310])
def test_an_interrupted_rest_goes_on_with_the_same_bits(at: int) -> None:
    stack = [on_full_batch(400, schedule=plateau())] * 3
    undisturbed, kept = fit(stack, RESTING), Kept(at)
    with pytest.raises(KeyboardInterrupt):
        fit(stack, RESTING, checkpoint=kept)
    resumed = fit(stack, RESTING, checkpoint=kept)
    assert torch.equal(resumed.theta, undisturbed.theta)
    assert torch.equal(resumed.steps, undisturbed.steps)


def test_an_average_at_the_schedule_s_own_rate_ends_at_the_floor() -> None:
    one = on_full_batch(400, schedule=plateau())
    own = Restraints(averaging=Averaging(0.9, None))
    fused, plain = fit([one], [own]), fit([one], [])
    assert torch.equal(fused.steps, plain.steps)
    assert int(plain.steps) < 400
    assert torch.equal(fused.theta, plain.theta)


@pytest.mark.parametrize(("training", "size"), [(on_full_batch, None), (on_batches, 8)])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_each_model_s_gradient_is_clipped_by_itself(
    training: Any, size: int | None, k: int
) -> None:
    norms = [0.05, None, 0.3]
    sgd = {"kind": "sgd", "learning_rate": 0.2, "momentum": 0.9}
    plain = Plain(k, lambda p, d: torch.optim.SGD(p, lr=0.2, momentum=0.9), norms[k])
    for unit in range(20):
        plain.unit(unit, size)
    stack = [training(20, optimizer=sgd)] * 3
    fused = fit(stack, [Restraints(clipping=norm) for norm in norms])
    torch.testing.assert_close(fused.theta[k], plain.theta, rtol=0, atol=1e-10)
    if norms[k] is not None:
        assert float((fused.theta[k] - fit(stack, []).theta[k]).norm()) > 1e-3


@pytest.mark.parametrize(("training", "size"), [(on_full_batch, None), (on_batches, 8)])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_decoupled_decay_is_that_of_adamw(training: Any, size: int | None, amsgrad: bool) -> None:
    decays = [0.3, None, 0.05]
    optimizer = {"kind": "adam", "learning_rate": 0.05, "amsgrad": amsgrad}
    fused = fit([training(20, optimizer=optimizer)] * 3, [Restraints(decoupled=d) for d in decays])
    for k, decay in enumerate(decays):
        plain = Plain(
            k,
            lambda p, _, decay=decay: torch.optim.AdamW(
                p, lr=0.05, weight_decay=decay or 0.0, amsgrad=amsgrad
            ),
        )
        for unit in range(20):
            plain.unit(unit, size)
        torch.testing.assert_close(fused.theta[k], plain.theta, rtol=0, atol=1e-10)


def test_decoupled_decay_of_gradient_descent_is_the_coupled_penalty() -> None:
    """Without momentum both take r (g + s theta) away: the rule holds for every optimizer."""
    sgd = {"kind": "sgd", "learning_rate": 0.1}
    one = on_full_batch(50, optimizer=sgd)
    fused = fit([one], [Restraints(decoupled=0.3)])
    decay = torch.tensor([[DECAY[0] + 0.3]], dtype=torch.float64)
    coupled = one.fit([one], problem(without_one([None]), decay), Start(start(1)), Recorder())
    torch.testing.assert_close(fused.theta, coupled.theta, rtol=0, atol=1e-12)


def test_on_the_full_batch_patience_counts_steps() -> None:
    rules = [EarlyStopping(4, 0.01), None, EarlyStopping(9, 0.01)]
    fused = fit([on_full_batch(200)] * 3, [Restraints(early_stopping=one) for one in rules])
    for k, rule in enumerate(rules):
        plain, best, waited, steps = Plain(k, adam), float("inf"), 0, 0
        while steps < 200 and (rule is None or waited < rule.patience):
            loss = plain.unit(steps, None)
            better = loss < best * 0.99
            best, waited, steps = (
                (loss if better else best),
                (0 if better else waited + 1),
                steps + 1,
            )
        assert int(fused.steps[k]) == steps
        torch.testing.assert_close(fused.theta[k], plain.theta, rtol=0, atol=1e-9)


@pytest.mark.parametrize("at", [20, 31, 40, 58])
def test_an_interrupted_average_goes_on_with_the_same_bits(at: int) -> None:
    stack = [on_full_batch(steps, schedule=PLATEAU) for steps in (60, 40, 55)]
    restraints = [
        Restraints(averaging=SWA[0], clipping=0.1),
        Restraints(averaging=SWA[1]),
        Restraints(decoupled=0.1, early_stopping=EarlyStopping(30)),
    ]
    undisturbed, kept = fit(stack, restraints), Kept(at)
    with pytest.raises(KeyboardInterrupt):
        fit(stack, restraints, checkpoint=kept)
    resumed = fit(stack, restraints, checkpoint=kept)
    for one, other in ((resumed.theta, undisturbed.theta), (resumed.iterate, undisturbed.iterate)):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
    assert torch.equal(resumed.steps, undisturbed.steps)


STEERED = [Restraints(clipping=1.0), Restraints(averaging=Averaging()), Restraints(decoupled=0.1)]


@pytest.mark.parametrize("restraints", STEERED)
@pytest.mark.parametrize(
    "training", [Newton(), on_full_batch(optimizer={"kind": "lbfgs"})], ids=["newton", "lbfgs"]
)
def test_what_searches_for_an_optimum_has_an_objection(
    training: Training, restraints: Restraints
) -> None:
    objection = training.objection(restraints)
    assert objection is not None
    assert "`newton`" in objection or "`lbfgs`" in objection
    with pytest.raises(ValueError, match="Use `"):
        fit([training], [restraints])
    assert training.objection(Restraints()) is None


def test_a_line_search_may_stop_early_and_newton_may_not() -> None:
    stop = Restraints(early_stopping=EarlyStopping(5))
    assert on_full_batch(optimizer={"kind": "lbfgs"}).objection(stop) is None
    assert Newton().objection(stop) is not None


def test_a_plateau_may_go_by_the_loss_with_its_penalty() -> None:
    """As loops have it that hand on the loss they differentiate."""
    told = [True, False, True]
    stack = [on_full_batch(schedule={**PLATEAU, "includes_penalty": one}) for one in told]
    fused = fit(stack, [Restraints()] * 3)
    for k, whole in enumerate(told):
        ends = []
        for includes in (whole, not whole):
            plain = Plain(k, adam)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
                plain.optimizer, patience=3, threshold=1e-2
            )
            for _ in range(60):
                square = float(plain.theta.square().sum())
                loss = plain.step(torch.arange(30))
                schedule.step(loss + plain.penalty / 2 * square if includes else loss)
            ends.append(plain.theta)
        torch.testing.assert_close(fused.theta[k], ends[0], rtol=0, atol=1e-9)
        # The first one's penalty is too small to change a cut.
        assert k == 0 or float((ends[0] - ends[1]).norm()) > 1e-6


def test_of_minibatches_no_schedule_goes_by_the_penalty() -> None:
    with pytest.raises(ValueError, match="told of the full batch alone"):
        on_batches(schedule={**PLATEAU, "includes_penalty": True})
