"""The seeds of example orders, and of what else training draws at its steps."""

from __future__ import annotations

from fragility.identity import derive_seed, digest
from fragility.procedures import Removal
from fragility.training import Order, Training

_PURPOSE = "example_order"


def order_seed(
    study_seed: int,
    repeat: int,
    training: Training,
    removal: Removal | None = None,
    *,
    noisy: bool = False,
) -> int | None:
    """Returns the seed of a training's example order and noise, None where training draws none.

    A base model has its own. A retraining has its base model's (`shared`), or one that follows from
    the replicate and from how the removed point is found, whatever else is retrained beside it.
    """
    order: Order | None = training.example_order
    if order is None and not noisy:
        return None
    if removal is None or order != "independent":
        return derive_seed(study_seed, _PURPOSE, repeat)
    place = int(digest(removal.slot_identity)[:15], 16)
    return derive_seed(study_seed, _PURPOSE, repeat, removal.replicate, place)
