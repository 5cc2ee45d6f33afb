"""Measures diagnostics of the trained models in a batch."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import torch

from fragility.diagnostics import Diagnostic, Fact, Findings
from fragility.errors import MethodFailure
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel
from fragility.plan.tasks import Batch


def diagnose(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns the facts of every task, or the reason why there are none."""
    outcome = Outcome(batch)
    models: dict[str, tuple[TrainedModel, Spectrum]] = {}
    for position, task in enumerate(batch.tasks):
        planned = bench.cell(task)
        if planned.train_id not in models:
            model = bench.trained(planned).to(torch.float64)
            spectrum = Spectrum(model, trained_in=planned.cell.training.torch_dtype)
            models = {planned.train_id: (model, spectrum)}
        diagnostic = planned.cell.diagnostics[task.diagnostic or 0]
        found = _findings(diagnostic, *models[planned.train_id])
        for fact in found.facts:
            finite = fact.value is not None and isfinite(fact.value)
            outcome.add(
                "diagnostic_facts",
                position,
                name=fact.name,
                value=fact.value if finite else None,
                detail=fact.detail if finite or fact.detail else "not finite",
            )
        if found.spectrum is not None:
            outcome.add_spectrum(position, found.spectrum)
        progress((position + 1) / len(batch.tasks))
    return outcome


def _findings(diagnostic: Diagnostic, model: TrainedModel, spectrum: Spectrum) -> Findings:
    try:
        found = diagnostic.measure(model, spectrum)
    except MethodFailure as failure:
        return Findings((Fact(diagnostic.kind, None, str(failure)),))
    return found if isinstance(found, Findings) else Findings((Fact(diagnostic.kind, found),))
