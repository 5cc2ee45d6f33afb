"""Leave-one-out retraining against refits by scikit-learn, and its rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from fragility.models.linear import Linear
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import converging, fit_stack, test_losses, trained, with_parameters


def procedure(**fields: object) -> LeaveOneOut:
    every = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
    return LeaveOneOut.model_validate({"kind": "leave_one_out", **every, **fields})


def test_logistic_regression_agrees_with_refits_by_scikit_learn() -> None:
    strength = 0.05
    model = trained(
        Linear(), "classification", WeightDecay(strength=strength, parameters="weights")
    )
    n = model.n
    drop = procedure()
    weights = torch.from_numpy(np.stack([drop.weights(n, np.array([i])) for i in range(n)]))
    fit = fit_stack(model, weights, converging())
    ours = torch.stack([test_losses(with_parameters(model, theta)) for theta in fit.theta])
    for i in range(0, n, 7):
        keep = np.arange(n) != i
        refit = LogisticRegression(C=1 / ((n - 1) * strength), tol=1e-12, max_iter=10_000).fit(
            model.inputs.numpy()[keep], model.targets.numpy()[keep]
        )
        log_probability = refit.predict_log_proba(model.test_inputs.numpy())
        theirs = -log_probability[np.arange(8), model.test_targets.numpy()]
        np.testing.assert_allclose(ours[i].numpy(), theirs, rtol=1e-5)


def test_drop_takes_the_mean_over_the_others_and_zero_weight_over_all() -> None:
    dropped = procedure().weights(10, np.array([3]))
    zeroed = procedure(removal="zero_weight").weights(10, np.array([3]))
    assert dropped[3] == zeroed[3] == 0
    assert dropped.sum() == pytest.approx(1)
    assert zeroed.sum() == pytest.approx(0.9)


@pytest.mark.parametrize("removal", ["drop", "zero_weight"])
def test_a_placebo_removes_nothing(removal: str) -> None:
    weights = procedure(removal=removal).weights(10, None)
    np.testing.assert_array_equal(weights, np.full(10, 0.1))


def test_every_replicate_has_a_placebo_and_every_retraining_an_identity_of_its_own() -> None:
    removals = procedure(start="cold", replicates=3).removals(5)
    assert [r.slot for r in removals].count(None) == 3
    assert len(removals) == 3 * (1 + 5)
    assert len({str(r.identity) for r in removals}) == len(removals)


def test_more_points_or_replicates_leave_the_first_identities_as_they_are() -> None:
    def identities(count: int, replicates: int) -> set[str]:
        points = {"kind": "top_loss", "count": count}
        made = procedure(train_points=points, start="cold", replicates=replicates)
        return {str(r.identity) for r in made.removals(20)}

    assert identities(3, 2) < identities(7, 2)
    assert identities(3, 2) < identities(3, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": "cold", "parameters": "last_layer"}, "use `start: warm`"),
        ({"test_points": {"kind": "top_score", "estimator": "x"}}, "chooses training points"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        procedure(**fields)
