"""What keeps training from following its gradient to the end: clipping, averages, early stops."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Averaging:
    """The model is the equal mean of its late iterates (Izmailov et al. 2018).

    With E units (steps of the full batch, epochs of minibatches) and s = round(`start` E), the
    iterates after the units s + 1, s + 2 ... E - 1 count, the first unit being number 0: E - 1 - s
    of them. Where that is none, and where a model stops before, its last iterate is the model.

    `learning_rate`: what the rate goes to meanwhile, along half a cosine over round(`anneal` E)
    units, in place of the schedule; None: the schedule goes on. As `torch.optim.swa_utils` has it
    in `AveragedModel` and `SWALR`, both called after every unit whose number is larger than s.
    """

    start: float = 0.75
    learning_rate: float | None = None
    anneal: float = 0.1


@dataclass(frozen=True)
class EarlyStopping:
    """A model stops after `patience` units in a row without improvement.

    The watched loss is the training loss without the penalty: of the full batch that which a step
    started from, of minibatches the mean over an epoch's batches, or with `last_batch` that of the
    last of them. An improvement is a fall below (1 - `threshold`) times the best loss. The model
    stays as it is then, it does not go back.
    """

    patience: int
    threshold: float = 1e-4
    last_batch: bool = False


@dataclass(frozen=True)
class Restraints:
    """How one model's training differs from following the gradient of its objective.

    `clipping`: largest norm of a step's gradient, penalty included, over the coordinates that are
    trained; a longer one is shortened, as by `torch.nn.utils.clip_grad_norm_`. `decoupled`: share
    of the parameters, times the learning rate, that a step takes away before it moves, as torch's
    `AdamW` has it.
    """

    clipping: float | None = None
    averaging: Averaging | None = None
    early_stopping: EarlyStopping | None = None
    decoupled: float | None = None

    @property
    def steer(self) -> bool:
        """Whether single steps go another way than the optimizer's."""
        return self.clipping is not None or self.decoupled is not None
