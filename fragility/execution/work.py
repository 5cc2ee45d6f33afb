"""Works on one batch: the handler of its kind, with failures turned into results."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from fragility.errors import FragilityError
from fragility.execution.diagnose import diagnose
from fragility.execution.estimate import estimate
from fragility.execution.executors import OutOfMemoryError, is_out_of_memory
from fragility.execution.measure import measure
from fragility.execution.outcome import Outcome
from fragility.execution.retrain import retrain
from fragility.execution.train import train
from fragility.execution.workbench import Workbench
from fragility.plan.tasks import Batch, Kind

Handler = Callable[[Batch, Workbench, Callable[[float], None]], Outcome]

_HANDLERS: dict[Kind, Handler] = {
    "train": train,
    "estimate": estimate,
    "retrain": retrain,
    "measure": measure,
    "diagnose": diagnose,
}


def work(
    batch: Batch, bench: Workbench, progress: Callable[[float], None]
) -> tuple[Outcome, float]:
    """Returns the outcome of a batch and the seconds it took.

    An error of a method fails the tasks of its batch and nothing else: the run goes on.

    Raises:
        OutOfMemoryError: a batch of several tasks did not fit in memory.
    """
    started = perf_counter()
    try:
        outcome = _HANDLERS[batch.kind](batch, bench, progress)
    except FragilityError as error:
        outcome = _failed(batch, str(error))
    except (RuntimeError, ArithmeticError, ValueError, MemoryError) as error:
        if len(batch.tasks) > 1 and is_out_of_memory(error):
            raise OutOfMemoryError from error
        outcome = _failed(batch, f"{type(error).__name__}: {error}")
    return outcome, perf_counter() - started


def _failed(batch: Batch, message: str) -> Outcome:
    outcome = Outcome(batch)
    outcome.fail_all(message)
    return outcome
