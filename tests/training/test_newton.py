"""Training by Newton's method against refits by scikit-learn, the hat matrix, L-BFGS stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training import TRAINING, Fit, Recorder, Start
from fragility.training.full_batch import FullBatch
from fragility.training.newton import Newton
from tests.problems import converging, fit_stack, test_losses, trained, with_parameters
from tests.tiny import RIDGE, TINY, changed, rows, run


def newton(**fields: Any) -> Newton:
    return Newton.model_validate({"kind": "newton", **fields})


def leave_one_out(model: TrainedModel) -> torch.Tensor:
    weights = torch.full((model.n, model.n), 1 / (model.n - 1), dtype=torch.float64)
    return weights.fill_diagonal_(0)


def fit(model: TrainedModel, weights: torch.Tensor, training: Newton | FullBatch) -> Fit:
    return fit_stack(model, weights, training)  # type: ignore[arg-type]


def test_the_room_knows_it_and_its_tolerance_follows_the_precision() -> None:
    assert TRAINING.methods["newton"] is Newton
    assert newton().gradient_norm == 1e-10
    assert newton(dtype="float32").gradient_norm == 1e-5
    assert newton(dtype="float32", gradient_norm=1e-3).gradient_norm == 1e-3
    assert newton().limited(7, 1e-4) == newton(steps=7, gradient_norm=1e-4)
    assert newton(steps=3).fusion() == newton(gradient_norm=1e-6).fusion()
    assert newton().fusion() != newton(dtype="float32").fusion()


def test_logistic_regression_agrees_with_refits_by_scikit_learn() -> None:
    strength = 0.05
    penalty = WeightDecay(strength=strength, parameters="weights")
    model = trained(Linear(), "classification", penalty)
    found = fit(model, leave_one_out(model), newton())
    assert all(found.converged)
    for i in range(0, model.n, 7):
        keep = np.arange(model.n) != i
        refit = LogisticRegression(C=1 / ((model.n - 1) * strength), tol=1e-12, max_iter=10_000)
        refit.fit(model.inputs.numpy()[keep], model.targets.numpy()[keep])
        log_probability = refit.predict_log_proba(model.test_inputs.numpy())
        theirs = -log_probability[np.arange(8), model.test_targets.numpy()]
        ours = test_losses(with_parameters(model, found.theta[i])).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_ridge_residuals_agree_with_the_hat_matrix() -> None:
    """y_i - prediction without i = residual / (1 - h_ii), where the mean stays over n."""
    strength = 0.2
    model = trained(Linear(), "regression", WeightDecay(strength=strength), outputs=1)
    n = model.n
    weights = torch.full((n, n), 1 / n, dtype=torch.float64).fill_diagonal_(0)
    found = fit(model, weights, newton())
    assert found.steps.tolist() == [1] * n
    x = torch.cat([model.inputs, torch.ones(n, 1, dtype=torch.float64)], dim=1)
    ridge = strength * n / 2 * torch.eye(x.shape[1], dtype=torch.float64)
    hat = x @ torch.linalg.solve(x.T @ x + ridge, x.T)
    residual = (model.targets - hat @ model.targets).squeeze(1)
    exact = residual / (1 - hat.diagonal())
    for i in range(n):
        predicted = model.network(model.network.layout.unflatten(found.theta[i]), model.inputs[[i]])
        torch.testing.assert_close(model.targets[i] - predicted[0], exact[i : i + 1])


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("strength", [1e-3, 0.3])
def test_lbfgs_ends_at_the_same_optima(task: str, strength: float) -> None:
    model = trained(Linear(), task, WeightDecay(strength=strength))
    weights = leave_one_out(model)
    ours, theirs = fit(model, weights, newton()), fit(model, weights, converging())
    assert float(ours.grad_norm.max()) <= 1e-8
    torch.testing.assert_close(ours.theta, theirs.theta, rtol=0, atol=1e-7)
    torch.testing.assert_close(ours.final_loss, theirs.final_loss)
    torch.testing.assert_close(ours.initial_loss, theirs.initial_loss)
    assert int(ours.steps.max()) < int(theirs.steps.max())


def test_the_stack_may_have_tolerances_and_limits_of_its_own() -> None:
    model = trained(Linear(), "classification", WeightDecay(strength=0.1))
    far = with_parameters(model, torch.zeros_like(model.vector(model.network.layout)))
    stack = [newton(steps=0), newton(gradient_norm=1e-2), newton()]
    weights = leave_one_out(model)[:3]
    start = far.vector(far.network.layout).expand(3, -1)
    layout = far.network.layout
    problem = StackProblem(
        far.network,
        far.loss,
        layout,
        {},
        far.inputs,
        far.targets,
        weights,
        far.decay_vector(layout).expand(3, -1),
    )
    seen: list[float] = []
    found = stack[0].fit(stack, problem, Start(start), Recorder(progress=seen.append))
    assert found.converged == (False, True, True)
    assert found.steps[0] == 0
    assert torch.equal(found.theta[0], start[0])
    assert seen[-1] == 1
    assert not bool(found.diverged.any())


def test_newton_as_the_solver_keeps_precision_and_stopping_rules() -> None:
    points = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}

    def how(training: Any, **fields: object) -> object:
        made = {"kind": "leave_one_out", "solver": "newton", **points, **fields}
        return LeaveOneOut.model_validate(made).retraining(training)

    assert how(converging()) == newton(gradient_norm=1e-11)
    single = FullBatch.model_validate({"kind": "full_batch", "steps": 9})
    assert how(single) == newton(dtype="float32")
    assert how(converging(), steps=3, gradient_norm=1e-7) == newton(steps=3, gradient_norm=1e-7)
    assert how(newton(steps=7)) == newton(steps=7)
    with pytest.raises(ValidationError, match="no state to resume"):
        how(converging(), state="resume")


def test_the_solver_is_in_the_identity_through_the_training_alone() -> None:
    points = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
    by = {
        solver: LeaveOneOut.model_validate({"kind": "leave_one_out", "solver": solver, **points})
        for solver in ("training", "newton")
    }
    identities = {name: [r.identity for r in one.removals(4)] for name, one in by.items()}
    assert identities["training"] == identities["newton"]
    assert by["training"].retraining(newton()) == by["newton"].retraining(newton())


def test_a_study_trains_and_retrains_by_newton(tmp_path: Path) -> None:
    study = changed(
        RIDGE,
        {
            "training": {"exact": {"kind": "newton"}},
            "procedures.warm.solver": "newton",
            "procedures.warm.record_every": 1,
        },
    )
    assert run(study, tmp_path).failed == 0
    trainings = "SELECT role, steps, converged, grad_norm FROM trainings"
    for role, steps, converged, norm in rows(tmp_path, trainings):
        assert converged
        assert norm <= 1e-10
        assert steps == (0 if role == "placebo" else 1)
    # The ridge study's own L-BFGS effects equal the hat matrix (tests/execution/test_effects.py).
    run(RIDGE, tmp_path / "lbfgs")
    effects = "SELECT effect FROM effects ORDER BY removal, train_point, test_point"
    ours = [effect for (effect,) in rows(tmp_path, effects)]
    theirs = [effect for (effect,) in rows(tmp_path / "lbfgs", effects)]
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-10)
    ((notes,),) = rows(tmp_path, "SELECT count(*) FROM trajectories")
    assert notes > 0


def test_a_study_gives_the_effects_that_lbfgs_gives(tmp_path: Path) -> None:
    by_newton = changed(RIDGE, {"procedures.warm.solver": "newton"})
    columns = "SELECT train_point, test_point, effect FROM effects"
    effects = f"{columns} WHERE train_point IS NOT NULL ORDER BY ALL"
    found = {}
    for name, study in {"newton": by_newton, "lbfgs": RIDGE}.items():
        assert run(study, tmp_path / name).failed == 0
        found[name] = np.array(rows(tmp_path / name, effects))
    np.testing.assert_allclose(found["newton"], found["lbfgs"], rtol=1e-6, atol=1e-9)


def test_last_layers_of_an_mlp_are_retrained_to_their_optimum(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {
            "repeats": 2,
            "procedures": {
                "last": {
                    "kind": "leave_one_out",
                    "solver": "newton",
                    "parameters": "last_layer",
                    "gradient_norm": 1e-9,
                    "train_points": {"kind": "all"},
                    "test_points": {"kind": "all"},
                }
            },
        },
    )
    assert run(study, tmp_path).failed == 0
    found = rows(tmp_path, "SELECT converged, grad_norm FROM trainings WHERE role <> 'base'")
    assert len(found) == 2 * (1 + 35)
    assert all(converged and norm <= 1e-9 for converged, norm in found)


def test_an_mlp_is_not_convex_but_its_last_layer_is() -> None:
    assert not MLP(hidden=(3,)).convex
    assert Linear().convex
