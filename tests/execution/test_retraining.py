"""What a retraining starts from, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.errors import StudyError
from fragility.numerics.network import Network
from tests.tiny import TINY, changed, plan, rows, run


def placebo(root: Path) -> list[float]:
    sql = "SELECT after FROM effects WHERE removal = 'placebo' ORDER BY test_point"
    return [after for (after,) in rows(root, sql)]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_a_resumed_placebo_is_the_base_training_gone_on(kind: str, tmp_path: Path) -> None:
    """20 steps and 5 resumed ones equal 25 in one go: moments, rates and waiting are carried."""
    optimizer = {"kind": kind, "learning_rate": 0.05}
    if kind == "sgd":
        optimizer["momentum"] = 0.9
    fields = {
        "training.adam.optimizer": optimizer,
        "training.adam.schedule": {"kind": "plateau", "patience": 1},
        "procedures.warm.test_points": {"kind": "all"},
    }
    run(changed(TINY, {**fields, "procedures.warm.state": "resume"}), tmp_path / "resumed")
    longer = {"training.adam.steps": 25, "procedures.warm.steps": 0}
    run(changed(TINY, {**fields, **longer}), tmp_path / "longer")
    assert placebo(tmp_path / "resumed") == pytest.approx(placebo(tmp_path / "longer"), abs=1e-12)
    run(changed(TINY, fields), tmp_path / "reset")
    assert placebo(tmp_path / "reset") != pytest.approx(placebo(tmp_path / "longer"), abs=1e-6)


def test_what_cannot_be_resumed_is_refused() -> None:
    fields = {
        "training.adam.optimizer": {"kind": "lbfgs"},
        "procedures.warm.state": "resume",
    }
    with pytest.raises(StudyError, match=r"procedures\.warm\.state.*no optimizer state to resume"):
        plan(changed(TINY, fields))


@pytest.mark.parametrize("parameters", ["last_layer", "last_layer_weight", ["3.*"], ["3.*", "5.*"]])
def test_suffixes_on_cached_features_equal_retraining_inside_the_whole_network(
    parameters: str | list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = changed(
        TINY,
        {"models.net.hidden": [4, 3], "procedures.warm.parameters": parameters, "repeats": 2},
    )
    features = plan(study).cells[0].features("warm")
    assert features == ((3,) if isinstance(parameters, str) else (4,))
    run(study, tmp_path / "cached")
    with monkeypatch.context() as patch:
        patch.setattr(Network, "split", lambda network, layout: None)
        run(study, tmp_path / "whole")
    sql = "SELECT cell_id, test_point, train_point, after FROM effects ORDER BY ALL"
    cached, whole = rows(tmp_path / "cached", sql), rows(tmp_path / "whole", sql)
    assert [row[:3] for row in cached] == [row[:3] for row in whole]
    assert [row[3] for row in cached] == pytest.approx([row[3] for row in whole], abs=1e-12)
    effects = rows(tmp_path / "cached", "SELECT max(abs(effect)) FROM effects")
    assert effects[0][0] > 1e-6


def test_patterns_that_match_no_parameter_are_refused() -> None:
    with pytest.raises(
        StudyError, match=r"procedures\.warm\.parameters.*`4\.\*`. It has `1\.weight`"
    ):
        plan(changed(TINY, {"procedures.warm.parameters": ["4.*"]}))
    with pytest.raises(StudyError, match=r"estimators\.exact\.parameters.*no parameter of model"):
        plan(changed(TINY, {"estimators.exact.parameters": ["weight"]}))


def test_a_step_of_retraining_is_as_long_as_its_learning_rate_says(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {
            "training.adam.optimizer": {"kind": "sgd", "learning_rate": 0.05},
            "procedures.warm.steps": 1,
            "procedures.warm.learning_rate": 0.003,
        },
    )
    run(study, tmp_path)
    sql = "SELECT {} FROM trainings WHERE role = '{}'"
    ((gradient,),) = rows(tmp_path, sql.format("grad_norm", "base"))
    ((distance,),) = rows(tmp_path, sql.format("distance", "placebo"))
    assert distance == pytest.approx(0.003 * gradient, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"procedures.warm.state": "resume"}, "goes on at the rate it has"),
        ({"procedures.warm.solver": "newton", "models": {"net": {"kind": "linear"}}}, "has none"),
    ],
)
def test_a_learning_rate_that_nothing_would_use_is_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        plan(changed(TINY, {"procedures.warm.learning_rate": 0.1, **changes}))
