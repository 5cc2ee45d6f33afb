"""A learning rate that falls when the loss stops improving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor

from fragility.training.base import Watches
from fragility.training.schedules.base import Rates, Schedule


class Plateau(Schedule):
    """Multiplies the learning rate by `factor` after `patience` steps without improvement.

    The watched loss is the training loss, without the penalty unless told; under minibatches it is
    the mean loss of an epoch's batches or that of the last of them, and `patience` counts epochs.
    An improvement is a fall below (1 - threshold) times the best loss; a cut smaller than
    `smallest_cut` is not made, which keeps a rate that starts at 1e-3 from falling below 1e-8. Step
    for step torch's `ReduceLROnPlateau`.

    At that floor a model hardly moves any more: by Adam a coordinate goes at most about the rate in
    a step (Kingma and Ba 2015, section 2.1), at 1e-8 less than 5e-4 in 50,000 steps; by gradient
    descent the rate times its gradient. With `stop_at_floor` it stops when a cut is due that is not
    made. A model whose iterates are averaged at a rate of their own (`swa`) rests instead, and goes
    on where averaging begins to raise its rate.

    Valid when: always; the mean loss of an epoch lags behind the loss at its end.
    Cost: none.
    Reference: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    added: ClassVar[frozenset[str]] = frozenset({"watches", "includes_penalty"})

    kind: Literal["plateau"] = "plateau"
    patience: NonNegativeInt = 10
    """Steps (epochs of minibatches) without improvement that are tolerated."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the rate is multiplied by."""
    threshold: NonNegativeFloat = 1e-4
    """Relative improvement that counts."""
    smallest_cut: NonNegativeFloat = 1e-8
    """A cut of the rate by this much or less is not made."""
    stop_at_floor: bool = False
    """Stop a model when a cut is due that is too small to be made: `patience` is over once more, at
    the lowest rate."""
    watches: Watches = "epoch_mean"
    """Which loss of an epoch of minibatches counts: the mean over its batches, or the last batch's,
    which is noisier (what Lightning has of a `loss` logged in `training_step`)."""
    includes_penalty: bool = False
    """Whether the watched loss of the full batch has the penalty in it, as where a script adds the
    divergence of a Bayesian network to the loss that it hands on. Weight decay is a part of it."""

    @property
    def may_stop(self) -> bool:
        """Whether it stops a model at the floor of its rate."""
        return self.stop_at_floor

    @property
    def full_batch_only(self) -> bool:
        """Whether it goes by what minibatches do not tell: the penalty of a step."""
        return self.includes_penalty

    def rates(self, stack: Sequence[Self], initial: Tensor, steps: Tensor) -> Rates:
        """Returns rates that fall model by model."""
        return _Plateau(stack, initial)


class _Plateau(Rates):
    follows_loss = True

    def __init__(self, stack: Sequence[Plateau], initial: Tensor) -> None:
        self.current = initial.clone()
        self.patience = initial.new_tensor([one.patience for one in stack])
        self.factor = initial.new_tensor([one.factor for one in stack])
        self.threshold = initial.new_tensor([one.threshold for one in stack])
        self.smallest_cut = initial.new_tensor([one.smallest_cut for one in stack])
        last_batch = [one.watches == "last_batch" for one in stack]
        self.last_batch = torch.tensor(last_batch, device=initial.device)
        whole = [one.includes_penalty for one in stack]
        self.includes_penalty = torch.tensor(whole, device=initial.device) if any(whole) else None
        self.best = torch.full_like(self.patience, torch.inf)
        self.waited = torch.zeros_like(self.patience)
        self.stops = torch.tensor([one.stop_at_floor for one in stack], device=initial.device)
        self.ended = torch.zeros_like(self.stops)
        self.may_stop = bool(self.stops.any())

    def update(self, loss: Tensor) -> None:
        better = loss < self.best * (1 - self.threshold)
        self.best = torch.where(better, loss, self.best)
        self.waited = torch.where(better, 0, self.waited + 1)
        due = self.waited > self.patience
        rate = self.current.squeeze(1)
        lower = rate * self.factor
        cut = due & (rate - lower > self.smallest_cut)
        if self.may_stop:
            self.ended = self.ended | (due & ~cut & self.stops)
        self.current = torch.where(cut, lower, rate).unsqueeze(1)
        self.waited = torch.where(due, 0, self.waited)

    def over(self) -> Tensor | None:
        return self.ended if self.may_stop else None

    def soonest(self) -> Tensor | None:
        if not self.may_stop:
            return None
        factor, rate = self.factor.double(), self.current.squeeze(1).double()
        # A rate r is cut while r (1 - factor) is more than the smallest cut.
        room = self.smallest_cut / (rate * (1 - factor))
        cuts = (room.log() / factor.log()).ceil().clamp(min=0)
        fewest = (cuts + 1) * (self.patience + 1) - self.waited
        return torch.where(self.stops, fewest, torch.inf)

    def memory(self) -> dict[str, Tensor]:
        return {"rate": self.current, "best": self.best, "waited": self.waited}

    def state(self) -> dict[str, Tensor]:
        return {**self.memory(), "ended": self.ended}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.current, self.best, self.waited = state["rate"], state["best"], state["waited"]
        # A training that resumes has not ended.
        self.ended = state.get("ended", torch.zeros_like(self.waited, dtype=torch.bool))

    def select(self, index: Tensor) -> None:
        self.current = self.current[index]
        self.patience, self.factor = self.patience[index], self.factor[index]
        self.threshold, self.smallest_cut = self.threshold[index], self.smallest_cut[index]
        self.best, self.waited = self.best[index], self.waited[index]
        self.stops, self.ended = self.stops[index], self.ended[index]
        assert self.last_batch is not None
        self.last_batch = self.last_batch[index]
        if self.includes_penalty is not None:
            self.includes_penalty = self.includes_penalty[index]
