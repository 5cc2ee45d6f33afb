"""Notes the chosen test points' loss while a stack retrains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Tensors
from fragility.numerics.fused_forward import stacked_outputs
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network
from fragility.training import State


@dataclass
class LossTrajectory:
    """The loss of each model's chosen test points, every `every` steps.

    The whole network is evaluated, whatever part of it is trained: `layout` names the trained
    parameters, `frozen` holds the others with a leading model axis.

    `points[k]` are the test points of the k-th model; every model has as many.
    """

    every: int
    network: Network
    loss: Loss
    layout: Layout
    frozen: Mapping[str, Tensor]
    tensors: Tensors
    points: Sequence[Sequence[int]]
    notes: list[State] = field(default_factory=list)

    @torch.no_grad()
    def observe(self, step: int, theta: Tensor, models: Tensor, data_loss: Tensor) -> None:
        """Notes one step."""
        frozen = {name: value[models] for name, value in self.frozen.items()}
        parameters = {**self.layout.unflatten(theta), **frozen}
        points, places = self._watched
        outputs = stacked_outputs(self.network, parameters, self.tensors.test_inputs[points])
        losses = self.loss.per_example(outputs, self.tensors.test_targets[points])
        chosen = places[models]
        self.notes.append(
            {
                "model": models,
                "step": torch.full_like(models, step),
                "value": losses.gather(1, chosen).double(),
                "train_loss": data_loss.double(),
            }
        )

    @cached_property
    def _watched(self) -> tuple[Tensor, Tensor]:
        """The test points that any model watches, and each model's places among them (K, T)."""
        chosen = torch.tensor(self.points, device=self.tensors.test_inputs.device)
        points, places = torch.unique(chosen, return_inverse=True)
        return points, places

    def state(self) -> State:
        """Returns the notes so far, one row a model and step."""
        if not self.notes:
            return {}
        return {name: torch.cat([note[name] for note in self.notes]) for name in self.notes[0]}

    def load(self, state: State) -> None:
        """Takes up notes that were interrupted."""
        self.notes = [state] if state else []

    def write(self, outcome: Outcome) -> None:
        """Adds the notes to the rows of the batch's tasks."""
        state = {name: value.cpu().numpy() for name, value in self.state().items()}
        if not state:
            return
        width = state["value"].shape[1]
        models = np.repeat(state["model"], width)
        outcome.add(
            "trajectory_facts",
            models,
            test_point=np.concatenate([self.points[k] for k in state["model"]]),
            step=np.repeat(state["step"], width),
            value=state["value"].ravel(),
            train_loss=np.repeat(state["train_loss"], width),
        )
