"""A training taken once more: it is deterministic, so that its history need not be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, count, islice, repeat
from math import isqrt

import torch
from torch import Tensor

from fragility.numerics.history import Adjoint, History, Step
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import Parameters, TrainedModel
from fragility.training._notes import Notes, Watched
from fragility.training._orders import Orders
from fragility.training._steered import steered
from fragility.training.base import Fit, Recorder, Start, Training
from fragility.training.full_batch import FullBatch
from fragility.training.minibatch import Minibatch
from fragility.training.optimizers import FirstOrder
from fragility.training.restraints import Restraints

_NONE = Restraints()


def history(
    training: Training,
    model: TrainedModel,
    start: Callable[[], Parameters],
    order: int,
    restraints: Restraints = _NONE,
) -> History | None:
    """Returns how a model was trained, or None where no gradient alone decides a step.

    Nothing is computed before it is asked for.

    Args:
        training: how the model was trained.
        model: the model and its examples, in the precision it was trained in.
        start: gives the initial parameters.
        order: seed of the example order, for trainings that draw one.
        restraints: those of the training.
    """
    if not isinstance(training, (FullBatch, Minibatch)) or training.optimizer.full_batch_only:
        return None
    return Replay(training, model, start, order, restraints)


@dataclass(frozen=True)
class Replay:
    """A training of one model alone, taken once more as a whole and then segment by segment.

    The first time, notes are taken of every learning rate, and of parameters and optimizer state at
    about a square root of the steps: between two of them steps are taken again from the former.
    """

    training: FullBatch | Minibatch
    model: TrainedModel
    initial: Callable[[], Parameters]
    order: int
    restraints: Restraints = _NONE

    @cached_property
    def start(self) -> Tensor:
        """The parameters (P,) before the first step."""
        return self.model.network.layout.flatten(self.initial())

    @property
    def end(self) -> Tensor:
        """The parameters (P,) after the last step."""
        fit = self._whole[1]
        return (fit.theta if fit.iterate is None else fit.iterate)[0]

    @property
    def averaged(self) -> bool:
        """Whether the model is an average of iterates."""
        return self.restraints.averaging is not None

    @property
    def rates(self) -> Tensor:
        """The learning rate of each step, (S,)."""
        notes, _ = self._whole
        return torch.cat([self.start.new_zeros(0), *notes.rates])

    @property
    def segments(self) -> Sequence[range]:
        """The steps between two places that are kept."""
        steps, spacing = len(self._whole[0].rates), self._spacing
        return [range(k, min(k + spacing, steps)) for k in range(0, steps, spacing)]

    def replay(self, first: int, last: int) -> list[Step]:
        """Returns the steps from `first` to before `last`; see `History`."""
        notes, _ = self._whole
        number = first // self._spacing
        kept = number * self._spacing
        theta, memory = notes.places[number]
        stepper = self._stepper(theta)
        stepper.load(memory)
        steps = []
        for rate, rows in zip(notes.rates[kept:last], self._batches(kept), strict=False):
            gradient = self._gradient(theta, rows)
            steps.append(Step(theta[0], gradient[0], stepper.state(), rows, float(rate)))
            theta = stepper.move(theta, gradient, rate.unsqueeze(1))
        return steps[first - kept :]

    def pull(self, step: Step, after: Adjoint) -> tuple[Adjoint, Tensor]:
        """Carries derivatives back through the optimizer's rule; see `History`."""
        dtype = after.theta.dtype
        theta, gradient = step.theta.to(dtype).unsqueeze(0), step.gradient.to(dtype).unsqueeze(0)
        stepper = self._stepper(theta)
        stepper.load({name: value.to(dtype) for name, value in step.memory.items()})
        return stepper.pull(theta, gradient, theta.new_tensor([[step.rate]]), after)

    @cached_property
    def _whole(self) -> tuple[Notes, Fit]:
        """The training as it went, with notes."""
        notes = Notes(self._spacing)
        watching = Watched.of(self.training.optimizer, notes, self.restraints)
        watched: Training = self.training.model_copy(update={"optimizer": watching})
        start = Start(self.start.unsqueeze(0), orders=[self.order])
        # What steers single steps is beneath the notes, which are of the iterates themselves.
        others = replace(self.restraints, clipping=None, decoupled=None)
        return notes, watched.fit([watched], self._problem, start, Recorder(), [others])

    def _gradient(self, theta: Tensor, rows: Tensor | None) -> Tensor:
        problem = self._problem
        here = problem.evaluate(theta) if rows is None else problem.evaluate_rows(theta, rows)
        return here.gradient

    @cached_property
    def _problem(self) -> StackProblem:
        model, layout = self.model, self.model.network.layout
        decay = model.decay_vector(layout).unsqueeze(0)
        weights = torch.full_like(decay[:, :1], 1 / model.n).repeat(1, model.n)
        return StackProblem(
            *(model.network, model.loss, layout, {}),
            *(model.inputs, model.targets, weights, decay),
            terms=model.terms(layout),
        )

    @cached_property
    def _spacing(self) -> int:
        batches = 1 if isinstance(self.training, FullBatch) else -(-self.model.n // self._batch)
        return max(1, isqrt(self.training.budget * batches))

    @property
    def _batch(self) -> int:
        """Number of examples that a step takes the gradient of."""
        if isinstance(self.training, FullBatch):
            return self.model.n
        return min(self.training.batch_size, self.model.n)

    def _batches(self, first: int) -> Iterator[Tensor | None]:
        """Yields the rows of the batches of the steps from `first` on."""
        if isinstance(self.training, FullBatch):
            return repeat(None)
        size, n = self._batch, self.model.n
        orders = Orders([self.order], n, self.model.inputs.device)
        epoch, place = divmod(first, -(-n // size))
        epochs = (torch.split(orders.epoch(number), size) for number in count(epoch))
        return islice(chain.from_iterable(epochs), place, None)

    def _stepper(self, theta: Tensor) -> FirstOrder:
        optimizer = self.training.optimizer
        stepper = optimizer.stepper([optimizer], theta)
        assert isinstance(stepper, FirstOrder)
        return steered(stepper, [self.restraints], theta)
