"""The trained models: digits, full-batch L-BFGS in float64 to a gradient norm of 1e-8."""

from __future__ import annotations

import sys

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks.estimators.ours import model_of
from benchmarks.estimators.problem import CLASSES, DECAY, N_TEST, N_TRAIN, PIXELS, Problem, network
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch

TRAINING = {
    "kind": "full_batch",
    "steps": 20_000,
    "gradient_norm": 1e-8,
    "dtype": "float64",
    "optimizer": {"kind": "lbfgs"},
}


def trained(name: str) -> Problem:
    """Returns the first examples of a permutation and the model trained on them."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    inputs = torch.from_numpy(digits.data[order] / 16)
    targets = torch.from_numpy(digits.target[order])
    train, test = slice(N_TRAIN), slice(N_TRAIN, N_TRAIN + N_TEST)

    model = model_of(name)
    ours = model.network((PIXELS,), CLASSES)
    layout = ours.layout
    assert layout.shapes == tuple(value.shape for value in network(name).parameters())
    stack = StackProblem(
        network=ours,
        loss=CROSS_ENTROPY,
        layout=layout,
        frozen={},
        inputs=inputs[train],
        targets=targets[train],
        weights=torch.full((1, N_TRAIN), 1 / N_TRAIN, dtype=torch.float64),
        decay=torch.full((1, 1), DECAY, dtype=torch.float64),
    )
    training = FullBatch.model_validate(TRAINING)
    start = layout.flatten(model.initial((PIXELS,), CLASSES, 0, torch.float64))
    fit = training.fit([training], stack, Start(start.unsqueeze(0)), Recorder())
    if not fit.converged[0]:
        sys.exit(f"the {name} model stopped at a gradient norm of {float(fit.grad_norm[0]):.1e}")
    return Problem(name, fit.theta[0], inputs[train], targets[train], inputs[test], targets[test])
