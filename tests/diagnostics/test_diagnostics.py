"""Facts about trained models, against closed forms for least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fragility.diagnostics import DIAGNOSTICS, Findings
from fragility.models.linear import Linear
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import trained, with_parameters
from tests.tiny import TINY, changed, rows, run

STRENGTH = 0.2


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Least squares at a point that is not its optimum; biases are not penalized."""
    fitted = trained(
        Linear(), "regression", WeightDecay(strength=STRENGTH, parameters="weights"), outputs=1
    )
    return with_parameters(fitted, torch.linspace(-1, 1, 6, dtype=torch.float64))


def measure(model: TrainedModel, kind: str, **fields: Any) -> float | None:
    return numbers(model, kind, **fields)[kind]


def numbers(model: TrainedModel, kind: str, **fields: Any) -> dict[str, float | None]:
    diagnostic = DIAGNOSTICS.methods[kind].model_validate({"kind": kind, **fields})
    found = diagnostic.measure(model, Spectrum(model))
    if isinstance(found, Findings):
        return {fact.name: fact.value for fact in found.facts}
    return {kind: found}


def closed_form(model: TrainedModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient of the objective, Hessian of the loss, and diagonal of the penalty's Hessian."""
    X = np.hstack([model.inputs.numpy(), np.ones((model.n, 1))])
    beta = model.vector(model.network.layout).numpy()
    penalty = np.array([STRENGTH] * 5 + [0.0])
    residual = X @ beta - model.targets.numpy()[:, 0]
    return 2 * X.T @ residual / model.n + penalty * beta, 2 * X.T @ X / model.n, penalty


def test_the_room_has_what_reports_explain_agreement_with() -> None:
    assert list(DIAGNOSTICS.methods) == [
        "condition_number",
        "effective_dimension",
        "gradient_norm",
        "hessian_bottom_eigenvalue",
        "hessian_negative_eigenvalues",
        "hessian_spectrum",
        "hessian_top_eigenvalue",
        "newton_decrement",
    ]


def test_the_gradient_norm_is_that_of_the_objective(model: TrainedModel) -> None:
    gradient, _, _ = closed_form(model)
    assert measure(model, "gradient_norm") == pytest.approx(np.linalg.norm(gradient))


def test_one_examples_share_is_a_mean_over_examples(model: TrainedModel) -> None:
    X = np.hstack([model.inputs.numpy(), np.ones((model.n, 1))])
    residual = X @ model.vector(model.network.layout).numpy() - model.targets.numpy()[:, 0]
    norms = np.linalg.norm(2 * residual[:, None] * X, axis=1) / model.n
    found = numbers(model, "gradient_norm")["example_gradient_norm"]
    assert found == pytest.approx(np.mean(norms), rel=1e-12)


@pytest.mark.parametrize("penalized", [True, False])
def test_the_ends_of_the_spectrum(model: TrainedModel, penalized: bool) -> None:
    _, hessian, penalty = closed_form(model)
    values = np.linalg.eigvalsh(hessian + penalized * np.diag(penalty))
    for kind, expected in (("top", values[-1]), ("bottom", values[0])):
        found = measure(model, f"hessian_{kind}_eigenvalue", includes_regularization=penalized)
        assert found == pytest.approx(expected)
    assert measure(model, "hessian_negative_eigenvalues") == 0


def test_a_study_records_them_for_each_base_model(tmp_path: Any) -> None:
    effective = {"kind": "effective_dimension", "damping": 0.01}
    kinds = [kind for kind in DIAGNOSTICS.methods if kind != "effective_dimension"]
    study = changed(TINY, {"diagnostics": [*kinds, effective], "repeats": 2})
    run(study, tmp_path, select=("kind:train", "kind:diagnose"))
    found = rows(tmp_path, "SELECT name, count(*) FROM diagnostics GROUP BY 1")
    assert set(kinds) | {"effective_dimension [damping 0.01]"} <= {name for name, _ in found}
    assert {count for _, count in found} == {2}
    ((missing,),) = rows(
        tmp_path, "SELECT count(*) FROM diagnostics WHERE value IS NULL AND detail IS NULL"
    )
    assert missing == 0
    ends = "max(d.value) FILTER (d.name = 'hessian_{0}_eigenvalue'), {1}(s.eigenvalue)"
    spectra = rows(
        tmp_path,
        f"SELECT {ends.format('top', 'max')}, {ends.format('bottom', 'min')},"
        " count(DISTINCT s.place), c.parameters, sum(s.weight) / count(DISTINCT d.name), s.matrix"
        " FROM spectra s JOIN diagnostics d USING (cell_id) JOIN cells c USING (cell_id)"
        " GROUP BY s.cell_id, c.parameters, s.matrix",
    )
    assert len(spectra) == 2
    for top, highest, bottom, lowest, places, size, weights, matrix in spectra:
        assert (top, bottom) == pytest.approx((highest, lowest))
        assert places == size == pytest.approx(weights)
        assert matrix == "hessian of all parameters"
    norms = rows(
        tmp_path,
        "SELECT d.value, t.grad_norm FROM diagnostics d JOIN trainings t USING (cell_id)"
        " WHERE d.name = 'gradient_norm' AND t.role = 'base'",
    )
    for diagnosed, trained_to in norms:
        assert diagnosed == pytest.approx(trained_to, rel=1e-9)


def test_an_estimator_leaves_the_spectrum_that_it_inverts(tmp_path: Any) -> None:
    fields = {"kind": "exact", "curvature": "gauss_newton", "damping": 0.01, "dtype": "float32"}
    study = changed(TINY, {"estimators": {"gn": fields}, "diagnostics": []})
    run(study, tmp_path, select=("kind:train", "kind:estimate"))
    ((matrix, highest, lowest, size),) = rows(
        tmp_path,
        "SELECT matrix, max(eigenvalue), min(eigenvalue), sum(weight) FROM spectra"
        " WHERE estimator = 'gn' GROUP BY ALL",
    )
    assert matrix == "gauss_newton of all parameters"
    recorded = dict(rows(tmp_path, "SELECT name, value FROM diagnostics WHERE test_point IS NULL"))
    assert recorded["curvature_top_eigenvalue"] == pytest.approx(highest)
    assert recorded["curvature_bottom_eigenvalue"] == pytest.approx(lowest)
    assert recorded["machine_epsilon"] == 2**-23
    assert size == rows(tmp_path, "SELECT parameters FROM cells")[0][0]
    ((told,),) = rows(tmp_path, "SELECT detail FROM diagnostics WHERE name = 'damping'")
    assert told == matrix


def test_what_cannot_be_measured_is_null_with_a_reason(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragility.numerics.spectrum.DENSE_LIMIT", 3)
    study = changed(TINY, {"diagnostics": ["hessian_negative_eigenvalues", "gradient_norm"]})
    summary = run(study, tmp_path, select=("kind:train", "kind:diagnose"))
    assert summary.failed == 0
    ((value, detail),) = rows(
        tmp_path,
        "SELECT value, detail FROM diagnostics WHERE name = 'hessian_negative_eigenvalues'",
    )
    assert value is None
    assert "this model has" in detail
