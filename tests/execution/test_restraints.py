"""Averaged base models, warm starts from the average or the last iterate, and patience."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fragility.errors import StudyError
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.plan.catalog import Catalog
from fragility.plan.identities import initialization_seed
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.training import Recorder, Start
from fragility.training.restraints import Averaging, EarlyStopping, Restraints
from tests.tiny import TINY, changed, plan, rows, run

DECAY = {"kind": "weight_decay", "strength": 0.05}
SWA = {"kind": "swa", "start": 0.5, "learning_rate": 0.05}
RATE = {"training.adam.schedule": {"kind": "plateau", "patience": 1}}


def averaged(**fields: Any) -> Any:
    """A study with an average of iterates beside a model without one, in one stack."""
    both = {"l2": DECAY, "swa": [DECAY, SWA]}
    given = {f"procedures.warm.{name}": value for name, value in fields.items()}
    return changed(TINY, {"regularization": both, **RATE, **given})


def of_swa(root: Path, column: str) -> list[Any]:
    sql = f"SELECT {column} FROM effects JOIN cells USING (cell_id) "
    sql += "WHERE removal = 'placebo' AND regularization = 'swa' ORDER BY test_point"
    return [value for (value,) in rows(root, sql)]


def by_hand(study: Any) -> tuple[StackProblem, torch.Tensor, torch.Tensor]:
    """The averaged base model and its last iterate, trained outside of any study."""
    compiled = plan(study)
    (planned,) = [c for c in compiled.cells if c.cell.regularization_label == "swa"]
    cell, catalog = planned.cell, Catalog(Path())
    data = catalog.data(cell.dataset, cell.seed).train
    network = planned.network
    values = cell.model.initial(
        planned.facts.input_shape,
        planned.facts.outputs,
        initialization_seed(cell.seed, 0),
        torch.float64,
    )
    problem = StackProblem(
        *(network, CROSS_ENTROPY, network.layout, {}),
        torch.from_numpy(data.inputs).double(),
        torch.from_numpy(data.targets),
        torch.full((1, len(data.targets)), 1 / len(data.targets), dtype=torch.float64),
        torch.full((1, 1), 0.05, dtype=torch.float64),
    )
    start = Start(network.layout.flatten(values)[None])
    restraints = [Restraints(averaging=Averaging(0.5, 0.05))]
    fit = cell.training.fit([cell.training], problem, start, Recorder(), restraints)
    assert fit.iterate is not None
    return problem, fit.theta, fit.iterate


def test_the_average_is_the_base_model_and_the_last_iterate_lies_beside_it(tmp_path: Path) -> None:
    study = averaged(from_iterate="last", steps=0)
    problem, average, last = by_hand(study)
    run(study, tmp_path)
    ((loss, norm),) = rows(
        tmp_path,
        "SELECT train_loss, grad_norm FROM trainings JOIN cells USING (cell_id) "
        "WHERE role = 'base' AND regularization = 'swa'",
    )
    here = problem.evaluate(average)
    assert loss == pytest.approx(float(here.data_loss), abs=1e-12)
    assert norm == pytest.approx(float(here.gradient.norm()), abs=1e-12)
    # A retraining of no steps stays where it begins: as far from the base model as the iterate.
    distances = rows(
        tmp_path,
        "SELECT regularization, distance FROM trainings JOIN cells USING (cell_id) "
        "WHERE role = 'placebo' ORDER BY 1",
    )
    assert distances[0] == ("l2", 0.0)
    assert distances[1][1] == pytest.approx(float((average - last).norm()), rel=1e-9)
    assert distances[1][1] > 1e-3


def test_a_warm_start_begins_at_the_average_unless_told(tmp_path: Path) -> None:
    run(averaged(steps=0), tmp_path / "average")
    assert of_swa(tmp_path / "average", "effect") == [0.0, 0.0]
    run(averaged(steps=0, from_iterate="last"), tmp_path / "last")
    assert all(effect != 0 for effect in of_swa(tmp_path / "last", "effect"))
    before = of_swa(tmp_path / "last", "before")
    assert before == of_swa(tmp_path / "average", "before")


def test_the_last_layer_of_the_last_iterate_stands_on_its_own_first_layers(tmp_path: Path) -> None:
    run(averaged(steps=0, from_iterate="last"), tmp_path / "whole")
    run(averaged(steps=0, from_iterate="last", parameters="last_layer"), tmp_path / "layer")
    whole, layer = (of_swa(tmp_path / name, "after") for name in ("whole", "layer"))
    assert layer == pytest.approx(whole, abs=1e-14)


def test_a_retraining_averages_over_its_own_steps(tmp_path: Path) -> None:
    study = averaged(steps=12)
    problem, average, _ = by_hand(study)
    run(study, tmp_path)
    cell = next(c.cell for c in plan(study).cells if c.cell.regularization_label == "swa")
    training = cell.training.limited(12, None)
    restraints = [Restraints(averaging=Averaging(0.5, 0.05))]
    fit = training.fit([training], problem, Start(average), Recorder(), restraints)
    ((distance,),) = rows(
        tmp_path,
        "SELECT distance FROM trainings JOIN cells USING (cell_id) "
        "WHERE role = 'placebo' AND regularization = 'swa'",
    )
    assert distance == pytest.approx(float((fit.theta - average).norm()), rel=1e-9)


def test_patience_of_a_procedure_is_that_of_its_retrainings(tmp_path: Path) -> None:
    # Only the first step improves enough: on nothing.
    stop = {"kind": "early_stopping", "patience": 3, "threshold": 0.9}
    fields = {"regularization": {"stop": [DECAY, stop]}, "procedures.warm.steps": 15}
    run(changed(TINY, fields), tmp_path / "own")
    run(changed(TINY, {**fields, "procedures.warm.patience": 6}), tmp_path / "given")
    sql = "SELECT DISTINCT role, steps FROM trainings ORDER BY 1"
    found = [rows(tmp_path / name, sql) for name in ("own", "given")]
    assert found[0] == [("base", 4), ("placebo", 4), ("retraining", 4)]
    assert found[1] == [("base", 4), ("placebo", 7), ("retraining", 7)]


def test_a_retraining_watches_what_its_base_model_watched(tmp_path: Path) -> None:
    batches = {"kind": "minibatch", "batch_size": 16, "epochs": 60, "dtype": "float64"}
    batches["optimizer"] = {"kind": "adam", "learning_rate": 0.05}
    found = {}
    for watches in ("epoch_mean", "last_batch"):
        stop = {"kind": "early_stopping", "patience": 3, "threshold": 0, "watches": watches}
        fields = {
            "regularization": {"stop": [DECAY, stop]},
            "training": {"adam": batches},
            "procedures.warm": {
                "kind": "leave_one_out",
                "epochs": 40,
                "patience": 2,
                "train_points": {"kind": "indices", "indices": [0, 1]},
                "test_points": {"kind": "indices", "indices": [0]},
            },
        }
        run(changed(TINY, fields), tmp_path / watches)
        sql = "SELECT role, steps FROM trainings ORDER BY ALL"
        found[watches] = rows(tmp_path / watches, sql)
    # Three batches an epoch; the last one is noisier, and ends both sooner.
    assert all(steps % 3 == 0 for one in found.values() for _, steps in one)
    for mean, last in zip(found["epoch_mean"], found["last_batch"], strict=True):
        assert mean[0] == last[0]
        assert last[1] < mean[1]


def test_a_procedure_s_patience_leaves_the_rest_of_early_stopping() -> None:
    points = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
    warm = LeaveOneOut.model_validate({"kind": "leave_one_out", "patience": 5, **points})
    of_base = Restraints(early_stopping=EarlyStopping(10, 0.0, last_batch=True))
    of_retraining = Restraints(early_stopping=EarlyStopping(5, 0.0, last_batch=True))
    assert warm.restrained(of_base) == of_retraining


@pytest.mark.parametrize(
    ("key", "value", "regularizer"),
    [("patience", 3, "early_stopping"), ("from_iterate", "last", "swa")],
)
def test_a_key_without_its_regularizer_is_refused(key: str, value: Any, regularizer: str) -> None:
    wrong = rf"procedures\.warm\.{key}: `{key}` says nothing without .*`{regularizer}`"
    with pytest.raises(StudyError, match=wrong):
        plan(changed(TINY, {f"procedures.warm.{key}": value}))


def test_an_optimum_is_that_of_the_objective_whatever_trained_the_base_model(
    tmp_path: Path,
) -> None:
    clipped = [DECAY, SWA, {"kind": "gradient_clipping", "norm": 0.1}]
    points = {name: TINY["procedures"]["warm"][name] for name in ("train_points", "test_points")}
    fields = {
        "regularization": {"all": clipped},
        "procedures.near": {"kind": "proximal", "damping": 1.0, **points},
    }
    summary = run(changed(TINY, fields), tmp_path)
    assert summary.failed == 0


def test_a_cold_start_begins_at_no_iterate() -> None:
    with pytest.raises(StudyError, match="drop `from_iterate`"):
        plan(averaged(start="cold", from_iterate="last"))


def test_what_follows_a_training_says_that_an_average_is_not_its_end(tmp_path: Path) -> None:
    fields = {"regularization": {"swa": [DECAY, SWA]}, "estimators": {"u": {"kind": "unrolled"}}}
    summary = run(changed(TINY, fields), tmp_path)
    assert "an average of many" in summary.failures[0].message
