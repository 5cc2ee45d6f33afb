"""What decides a task's result, as digests and seeds."""

from __future__ import annotations

from functools import lru_cache

from fragility.identity import derive_seed, digest
from fragility.method import Method
from fragility.selectors import Selector
from fragility.study.cells import Cell
from fragility.training import Training


def initialization_seed(study_seed: int, repeat: int, replicate: int = 0) -> int:
    """Returns the seed of initial values; replicate 0 is the base model's own."""
    return derive_seed(study_seed, "initialization", repeat, replicate)


def initial_seed(cell: Cell, replicate: int = 0) -> int:
    """Returns the seed of a cell's initial values: the study's, or where it gives one its model's.

    Replicates of a cold start beside the first have the study's.
    """
    first = cell.model.first_seed
    if first is None or replicate:
        return initialization_seed(cell.seed, cell.repeat, replicate)
    return first + cell.repeat


def bootstrap_seed(study_seed: int) -> int:
    """Returns the seed of the bootstrap draws, the same for every agreement of a study."""
    return derive_seed(study_seed, "bootstrap")


@lru_cache(maxsize=4096)
def method_digest(method: Method) -> str:
    """Returns the digest of the fields that decide what a method does."""
    return digest(method.identity())


def training_digest(training: Training) -> str:
    """Returns the digest of a training, whoever's example order it follows."""
    # Whose order a retraining follows decides its order seed, and nothing else.
    return method_digest(training.ordered("shared"))


@lru_cache(maxsize=1024)
def slots_digest(selector: Selector, size: int) -> str:
    """Returns the digest of how a selector finds each of its points among `size`."""
    return digest(selector.slots(size))
