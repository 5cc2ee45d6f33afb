"""Our side: each estimator as a study would call it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.estimators.problem import CLASSES, DAMPING, DECAY, HIDDEN, PIXELS, Problem
from fragility.estimators.arnoldi import Arnoldi
from fragility.estimators.base import Estimator
from fragility.estimators.cg import CG
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.exact import Exact
from fragility.estimators.kfac import KFAC
from fragility.estimators.lissa import LiSSA
from fragility.estimators.nystrom import Nystrom
from fragility.models.base import Model
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.trained import TrainedModel

SHARED = {"damping": DAMPING, "curvature_includes_regularization": False}


def model_of(name: str) -> Model:
    hidden = HIDDEN[name]
    return Linear() if hidden is None else MLP(hidden=(hidden,), activation="tanh")


def trained_model(problem: Problem) -> TrainedModel:
    network = model_of(problem.model).network((PIXELS,), CLASSES)
    layout = network.layout
    return TrainedModel(
        network=network,
        loss=CROSS_ENTROPY,
        test_loss=CROSS_ENTROPY,
        decay=dict.fromkeys(layout.names, DECAY),
        parameters=layout.unflatten(problem.theta),
        inputs=problem.inputs,
        targets=problem.targets,
        test_inputs=problem.test_inputs,
        test_targets=problem.test_targets,
    )


def _call(
    kind: type[Estimator], settings: dict[str, object], problem: Problem
) -> Callable[[], Tensor]:
    estimator = kind.model_validate(
        {"kind": kind.model_fields["kind"].default, **SHARED, **settings}
    )
    model, points = trained_model(problem), torch.arange(len(problem.test_targets))
    return lambda: estimator.estimate(model, points).scores


METHODS = {
    name: partial(_call, kind, settings)
    for name, kind, settings in (
        ("exact_float64", Exact, {}),
        ("exact_float32", Exact, {"dtype": "float32"}),
        ("cg_float64", CG, {"tolerance": 1e-4}),
        ("cg_float32", CG, {"tolerance": 1e-3, "dtype": "float32"}),
        ("ekfac_float64", EKFAC, {}),
        ("ekfac_float32", EKFAC, {"dtype": "float32"}),
        ("kfac_float32", KFAC, {"dtype": "float32"}),
        ("lissa_float32", LiSSA, {"dtype": "float32", "batch_size": 100}),
        ("arnoldi_float32", Arnoldi, {"dtype": "float32"}),
        # It needs a curvature without negative eigenvalues, which the MLP's Hessian has.
        ("nystrom_float32", Nystrom, {"dtype": "float32", "curvature": "gauss_newton"}),
    )
}
