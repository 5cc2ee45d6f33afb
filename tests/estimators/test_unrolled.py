"""The derivative of training against central differences of whole trainings, and its limits."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fragility.errors import MethodFailure
from fragility.estimators import unrolled
from fragility.estimators.base import Estimator
from fragility.estimators.exact import Exact
from fragility.estimators.tracin import TracIn
from fragility.estimators.unrolled import Unrolled
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.training.full_batch import FullBatch
from fragility.training.restraints import Averaging, EarlyStopping, Restraints
from tests.problems import with_parameters
from tests.trajectories import Run, full_batch, minibatch

TEST = torch.arange(8)
TANH = MLP(hidden=(4,), activation="tanh")
SOFTPLUS = MLP(hidden=(3, 3), activation="softplus")
PLATEAU = {"kind": "plateau", "patience": 2, "threshold": 0.02}
CASES = {
    "adam, plateau": Run(TANH, full_batch("adam", 60, schedule=PLATEAU)),
    "adam, cosine": Run(SOFTPLUS, full_batch("adam", schedule={"kind": "cosine"})),
    "adam, step": Run(
        TANH,
        full_batch("adam", schedule={"kind": "step", "every": 8, "factor": 0.5}),
        "regression",
    ),
    "momentum": Run(TANH, full_batch("momentum", 80), strength=0.0),
    "momentum to a gradient norm": Run(TANH, full_batch("momentum", 400, gradient_norm=0.05)),
    "amsgrad": Run(TANH, minibatch("amsgrad")),
    "nesterov, minibatch": Run(SOFTPLUS, minibatch("nesterov"), "regression"),
    "decoupled, minibatch": Run(
        TANH,
        minibatch("adam", schedule={"kind": "cosine"}),
        restraints=Restraints(decoupled=0.1),
    ),
    "decoupled, minibatch, early stopping": Run(
        TANH,
        minibatch("adam", 80),
        restraints=Restraints(decoupled=0.1, early_stopping=EarlyStopping(2, 0.02)),
    ),
    "clipped": Run(TANH, full_batch("momentum", 60), restraints=Restraints(clipping=0.3)),
    "clipped adam, minibatch": Run(TANH, minibatch("adam"), restraints=Restraints(clipping=0.2)),
    "a feature that is always 0": Run(TANH, full_batch("adam"), strength=0.0, silent_feature=2),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_derivative_of_whole_trainings(case: str) -> None:
    """Moves the weight of an example both ways, trains from the same start, takes the slope."""
    run, points = CASES[case], [0, 7, 23, 39]
    result = Unrolled().estimate(run.model, TEST)
    expected = run.slopes(points, step=1e-5)
    assert float(expected.abs().max()) > 1e-4
    torch.testing.assert_close(
        result.scores[:, points], expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max())
    )
    assert result.diagnostics["replay_distance"] == 0
    assert 0 < result.diagnostics["replay_steps"] <= 400


@pytest.mark.parametrize("estimator", [Unrolled(), TracIn()])
def test_an_average_of_iterates_is_not_the_end_of_a_training(estimator: Estimator) -> None:
    run = Run(TANH, full_batch("adam"), restraints=Restraints(averaging=Averaging(0.5)))
    with pytest.raises(MethodFailure, match="an average of many"):
        estimator.estimate(run.model, TEST)


def test_a_long_descent_forgets_its_way() -> None:
    """At the optimum of a convex objective the derivative of training is that of the optimum."""
    run = Run(Linear(), full_batch("momentum", 600), strength=0.1)
    exact = Exact().estimate(run.model, TEST).scores
    torch.testing.assert_close(
        Unrolled().estimate(run.model, TEST).scores, exact, rtol=1e-6, atol=0
    )


def test_a_descent_that_is_cut_short_is_not_the_optimum_s() -> None:
    run = Run(Linear(), full_batch("sgd", 10), strength=0.1)
    points = [3, 30]
    exact = Exact().estimate(run.model, TEST).scores[:, points]
    scores = Unrolled().estimate(run.model, TEST).scores[:, points]
    slopes = run.slopes(points)
    torch.testing.assert_close(scores, slopes, rtol=1e-5, atol=1e-9)
    assert float((exact - slopes).norm() / slopes.norm()) > 0.3


def test_float32_training_has_the_scores_of_the_same_training_in_float64() -> None:
    ours = Unrolled().estimate(Run(TANH, full_batch("adam", dtype="float32")).model, TEST)
    theirs = Unrolled().estimate(Run(TANH, full_batch("adam")).model, TEST)
    assert ours.scores.dtype == torch.float64
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-3, atol=1e-6)


def test_blocks_of_test_points_have_the_scores_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Run(TANH, minibatch("adam", 2)).model
    whole = Unrolled().estimate(model, TEST).scores
    monkeypatch.setattr(unrolled, "block_rows", lambda model, numbers: 3)
    torch.testing.assert_close(Unrolled().estimate(model, TEST).scores, whole)


def test_a_training_of_no_steps_depends_on_no_example() -> None:
    scores = Unrolled().estimate(Run(TANH, full_batch("adam", 0)).model, TEST).scores
    assert scores.shape == (8, 40)
    assert not bool(scores.any())


def test_an_average_over_models_is_the_mean_of_theirs() -> None:
    models = [Run(TANH, full_batch("adam", steps)).model for steps in (5, 9)]
    mean = Unrolled(ensemble=2).estimate_together(models, TEST).scores
    parts = [Unrolled().estimate(model, TEST).scores for model in models]
    torch.testing.assert_close(mean, (parts[0] + parts[1]) / 2)


def test_what_was_trained_another_way_is_refused() -> None:
    model = Run(TANH, full_batch("lbfgs", 5)).model
    with pytest.raises(MethodFailure, match=r"first-order training.*`sgd` or `adam`"):
        Unrolled().estimate(model, TEST)


def test_a_training_that_ends_elsewhere_is_refused() -> None:
    model = Run(TANH, full_batch("adam")).model
    moved = with_parameters(model, model.vector(model.network.layout) * 1.1)
    with pytest.raises(MethodFailure, match=r"ends 0\.\d+ from the model"):
        Unrolled().estimate(moved, TEST)


def test_derivatives_that_grow_without_bound_are_refused() -> None:
    """Descent of a quadratic with steps that are far too long; the model itself is still finite."""
    wild = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": 45,
            "dtype": "float64",
            "optimizer": {"kind": "sgd", "learning_rate": 1e3},
        }
    )
    run = Run(Linear(), wild, "regression")
    assert bool(torch.isfinite(run.model.vector(run.model.network.layout)).all())
    with pytest.raises(MethodFailure, match="Lower the learning rate"):
        Unrolled().estimate(run.model, TEST)


def test_some_parameters_alone_are_no_training() -> None:
    assert Unrolled().scored == "all"
    with pytest.raises(ValidationError, match="'all'"):
        Unrolled.model_validate({"kind": "unrolled", "parameters": "last_layer"})
