"""Measures diagnostics of the trained models in a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fragility.errors import MethodFailure
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel
from fragility.plan.tasks import Batch


def diagnose(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns one number for every task, or the reason why there is none."""
    outcome = Outcome(batch)
    models: dict[str, tuple[TrainedModel, Spectrum]] = {}
    for position, task in enumerate(batch.tasks):
        planned = bench.cell(task)
        if planned.train_id not in models:
            model = bench.trained(planned).to(torch.float64)
            models = {planned.train_id: (model, Spectrum(model))}
        diagnostic = planned.cell.diagnostics[task.diagnostic or 0]
        try:
            value, detail = diagnostic.measure(*models[planned.train_id]), None
        except MethodFailure as failure:
            value, detail = None, str(failure)
        outcome.add("diagnostic_facts", position, name=diagnostic.kind, value=value, detail=detail)
        progress((position + 1) / len(batch.tasks))
    return outcome
