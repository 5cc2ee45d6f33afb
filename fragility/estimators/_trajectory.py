"""What estimators that follow a training share: its history, held against the model it led to."""

from __future__ import annotations

from fragility.errors import MethodFailure
from fragility.numerics.history import History
from fragility.numerics.trained import TrainedModel

FURTHEST = 1e-2
"""Largest distance of the replayed end from the model, over the distance that training moved it."""


def followed(model: TrainedModel, kind: str) -> tuple[History, float]:
    """Returns the model's history, and how far from the model it ends; see `FURTHEST`.

    Raises:
        MethodFailure: there is none, it ends elsewhere, or the model is an average along it.
    """
    history = model.history
    if history is None:
        raise MethodFailure(
            f"`{kind}` follows first-order training without noise, step by step, and this model "
            "was trained another way.",
            "Train with `sgd` or `adam`, on the full batch or on minibatches, without `dropout` "
            "and `augmentation`.",
        )
    if history.averaged:
        raise MethodFailure(
            f"`{kind}` follows a training to its last iterate, and this model is an average of "
            "many.",
            "Drop `swa` from the regularization, or use an estimator that takes the model alone.",
        )
    end = model.vector(model.network.layout)
    moved = float((end - history.start).norm())
    distance = float((history.end - end).norm())
    if not distance <= FURTHEST * moved:
        raise MethodFailure(
            f"training taken once more ends {distance:.2g} from the model, which training moved by "
            f"{moved:.2g}: alone, rounding takes it another way than beside other models.",
            "Train in float64, for fewer steps, or with a lower learning rate.",
        )
    return history, distance / moved if moved else 0.0
