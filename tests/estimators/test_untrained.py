"""The null of no training: another estimator's scores, where training began."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fragility.errors import MethodFailure
from fragility.estimators import ESTIMATORS, Estimator
from fragility.estimators.exact import Exact
from fragility.estimators.untrained import Untrained
from fragility.testing import (
    assert_deterministic,
    assert_documented,
    assert_facts,
    assert_groups,
    assert_identity,
    assert_shape,
    assert_test_points,
    assert_training_order,
    assert_untouched,
)
from fragility.testing.problems import general_problems
from tests.tiny import TINY, changed, rows, run

TESTS = torch.arange(5)


def wrapped(**fields: Any) -> Estimator:
    method = ESTIMATORS.methods["untrained"]
    return method.model_validate({"kind": "untrained", "estimator": fields})


@pytest.mark.parametrize("problem", general_problems(), ids=lambda problem: problem.name)
def test_scores_are_those_of_a_model_that_was_never_trained(problem: Any) -> None:
    model = problem.trained
    layout = model.network.layout
    start = replace(model, parameters=layout.unflatten(model.history.start), history=None)
    found = Untrained(estimator=Exact(damping=0.1)).estimate(model, TESTS).scores
    assert torch.equal(found, Exact(damping=0.1).estimate(start, TESTS).scores)
    assert not torch.allclose(found, Exact(damping=0.1).estimate(model, TESTS).scores, rtol=0.1)


@pytest.mark.parametrize(
    "fields", [{"kind": "exact", "damping": 0.1}, {"kind": "grad_dot"}], ids=lambda f: f["kind"]
)
def test_it_keeps_the_laws_that_ask_nothing_of_the_training(fields: dict[str, Any]) -> None:
    estimator = wrapped(**fields)
    assert_documented(type(estimator))
    assert_identity(estimator)
    for problem in general_problems():
        for law in (
            *(assert_shape, assert_deterministic, assert_test_points, assert_training_order),
            *(assert_groups, assert_untouched, assert_facts),
        ):
            law(estimator, problem)


def test_what_it_scores_is_what_the_other_scores() -> None:
    estimator = wrapped(kind="exact", parameters="last_layer", ensemble=3, groups="second_order")
    assert estimator.scored == "last_layer"
    assert estimator.models == 3
    assert estimator.scores_groups
    model = general_problems()[0].trained
    groups = [torch.tensor([0, 1, 2])]
    second = estimator.estimate_groups([model] * 3, TESTS, groups).scores
    assert model.initial is not None
    start = replace(model, parameters=model.initial())
    of = Exact(parameters="last_layer", ensemble=3, groups="second_order")
    assert torch.equal(second, of.estimate_groups([start] * 3, TESTS, groups).scores)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "tracin"}, "`tracin` follows a training"),
        ({"kind": "captum"}, "name an estimator of our own"),
        ({"kind": "untrained", "estimator": {"kind": "exact"}}, "does not match any"),
    ],
)
def test_what_cannot_be_asked_without_a_training_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        wrapped(**fields)


def test_unknown_initial_values_are_said() -> None:
    model = replace(general_problems()[0].trained, initial=None)
    with pytest.raises(MethodFailure, match="initial values are not known"):
        Untrained(estimator=Exact()).estimate(model, TESTS)


def test_in_a_study_it_scores_what_training_started_from(tmp_path: Path) -> None:
    """A training whose steps have no length ends where it began."""
    exact = {"kind": "exact", "damping": 0.01}
    study = changed(
        TINY,
        {
            "repeats": 2,
            "estimators": {"exact": exact, "untrained": {"kind": "untrained", "estimator": exact}},
            "training.still": changed(
                TINY["training"]["adam"], {"optimizer": {"kind": "sgd", "learning_rate": 1e-300}}
            ),
            "procedures.warm.test_points": {"kind": "all"},
        },
    )
    run(study, tmp_path)
    found = rows(
        tmp_path,
        "SELECT repeat, training, estimator, list(score ORDER BY test_point, train_point)"
        " FROM scores JOIN cells USING (cell_id) GROUP BY ALL",
    )
    scores = {row[:3]: row[3] for row in found}
    for repeat in (0, 1):
        start = scores[repeat, "still", "exact"]
        assert scores[repeat, "still", "untrained"] == start
        assert scores[repeat, "adam", "untrained"] == start
        assert scores[repeat, "adam", "exact"] != start
    assert scores[0, "adam", "untrained"] != scores[1, "adam", "untrained"]
