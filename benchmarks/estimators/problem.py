"""The digits task: what every side is handed, as one file.

Needs numpy and torch alone, because sides run in environments of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

N_TRAIN, N_TEST, PIXELS, CLASSES = 1500, 50, 64, 10
DECAY = 1e-3
"""Strength of the penalty that models are trained with."""
DAMPING = 0.01
"""Added to the Hessian of the mean loss, the penalty left out."""
HIDDEN = {"softmax": None, "mlp": 32}


@dataclass(frozen=True)
class Problem:
    """A trained model as one flat vector theta (P,), and its examples."""

    model: str
    theta: Tensor
    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    def to(self, dtype: torch.dtype) -> Problem:
        """Returns the problem in another floating precision."""
        changed = {
            name: value.to(dtype)
            for name, value in vars(self).items()
            if isinstance(value, Tensor) and value.is_floating_point()
        }
        return replace(self, **changed)

    def module(self) -> nn.Sequential:
        """Returns a new module that holds theta."""
        module = network(self.model).to(self.theta.dtype)
        nn.utils.vector_to_parameters(self.theta, module.parameters())
        return module.eval()

    def save(self, path: Path) -> None:
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def load(path: Path) -> Problem:
        with np.load(path) as held:
            model = str(held["model"])
            names = [name for name in held.files if name != "model"]
            return Problem(model, **{name: torch.from_numpy(held[name]) for name in names})


def network(model: str) -> nn.Sequential:
    """Returns an untrained module: softmax regression, or one hidden layer of tanh."""
    hidden = HIDDEN[model]
    if hidden is None:
        return nn.Sequential(nn.Linear(PIXELS, CLASSES))
    return nn.Sequential(nn.Linear(PIXELS, hidden), nn.Tanh(), nn.Linear(hidden, CLASSES))
