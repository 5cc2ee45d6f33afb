"""Estimators whose classes a study names: run when it is allowed, and never before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fragility.errors import StudyError, UsageError
from fragility.execution.events import RunSummary
from fragility.execution.run import RunOptions, run_study
from fragility.plan import compile_study
from fragility.study.cells import cells
from fragility.study.load import LoadedStudy, load_text
from tests.cli.test_main import code_of
from tests.tiny import TINY, changed, load, rows

CODE = """\
from pathlib import Path
from typing import Literal

from fragility.estimators.exact import Exact

Path(__file__).with_name("was-run").touch()


class Mine(Exact):
    kind: Literal["mine"] = "mine"


class Averaging(Exact):
    kind: Literal["averaging"] = "averaging"
    ensemble: int = 2


class OfGroups(Exact):
    kind: Literal["of_groups"] = "of_groups"
    groups: Literal["sum", "second_order"] = "second_order"


class Unnamed(Exact):
    kind: str = "unnamed"


class Elsewhere:
    kind: Literal["elsewhere"] = "elsewhere"


class Wrong(Exact):
    kind: Literal["wrong"] = "wrong"
    how: Literal["raises", "transposed", "infinite", "nothing", "facts"]

    def estimate_together(self, models, test_points):
        return self.estimate(models[0], test_points)

    def estimate(self, model, test_points):
        found = super().estimate(model, test_points)
        facts = {"residual": test_points.new_zeros(1).double()}
        return {
            "raises": lambda: found.no_such_attribute,
            "transposed": lambda: type(found)(found.scores.T),
            "infinite": lambda: type(found)(found.scores / 0),
            "nothing": lambda: None,
            "facts": lambda: type(found)(found.scores, {}, facts),
        }[self.how]()
"""


def named(name: str, **settings: Any) -> dict[str, Any]:
    return {"kind": "python", "python": f"code.py:{name}", "settings": settings}


STUDY = changed(TINY, {"estimators.mine": named("Mine", damping=0.01)})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "code.py").write_text(CODE)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("fragility_study_code_")]:
        del sys.modules[name]


def loaded(folder: Path, study: Any = STUDY) -> LoadedStudy:
    return load(study, folder / "study.yaml")


def run(folder: Path, study: Any = STUDY, **options: Any) -> RunSummary:
    chosen = RunOptions(device="cpu", **{"allow_code": True, **options})
    return run_study(loaded(folder, study), folder / "results", chosen, lambda event: None)


def scores(folder: Path, label: str) -> list[tuple[Any, ...]]:
    return rows(
        folder / "results",
        "SELECT test_point, train_point, score FROM scores "
        f"WHERE estimator = '{label}' ORDER BY ALL",
    )


def test_loading_and_planning_run_no_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = loaded(folder)
    assert len(cells(study)) == 1
    assert compile_study(study).counts()["estimate"] == 2
    (folder / "study.yaml").write_text(study.text)
    monkeypatch.chdir(folder)
    assert code_of("check", "study.yaml") == 0
    assert code_of("plan", "study.yaml") == 0
    assert code_of("run", "study.yaml", "--allow-code", "--dry-run") == 0
    assert not (folder / "was-run").exists()
    assert code_of("run", "study.yaml") == 2
    output = capsys.readouterr()
    assert str(folder / "code.py") in output.err
    assert "`mine`" in output.err
    assert "--allow-code" in output.err
    assert not (folder / "was-run").exists()
    assert not (folder / "results").exists()
    assert code_of("run", "study.yaml", "--allow-code", "--quiet") == 0
    assert (folder / "was-run").exists()


def test_the_class_computes_with_its_settings(folder: Path) -> None:
    """`Mine` is `exact` by another name."""
    summary = run(folder)
    assert (summary.failed, summary.skipped) == (0, 0)
    assert len(scores(folder, "mine")) == 2 * 35
    assert scores(folder, "mine") == scores(folder, "exact")
    run(folder, changed(STUDY, {"estimators.mine": named("Mine", damping=0.5)}))
    other = changed(TINY, {"estimators.exact.damping": 0.5, "study": "other"})
    run_study(load(other), folder / "other", RunOptions(device="cpu"), lambda event: None)
    assert scores(folder, "mine") == rows(
        folder / "other", "SELECT test_point, train_point, score FROM scores ORDER BY ALL"
    )


def test_an_edit_computes_anew_what_the_code_decides(folder: Path) -> None:
    first = run(folder)
    assert run(folder).cached == first.ok
    with (folder / "code.py").open("a") as file:
        file.write("# another line\n")
    again = run(folder)
    # One estimate and its agreement.
    assert (again.ok, again.cached) == (2, first.ok - 2)


def test_a_module_on_the_path_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "code_on_the_path.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder / "site"))
    mine = {**named("Mine", damping=0.01), "python": "code_on_the_path:Mine"}
    study = changed(TINY, {"estimators.mine": mine})
    compile_study(loaded(folder, study))
    assert "code_on_the_path" not in sys.modules
    assert run(folder, study).failed == 0
    assert scores(folder, "mine") == scores(folder, "exact")
    del sys.modules["code_on_the_path"]


def test_the_plan_knows_the_parameters_and_the_models_that_the_settings_say(folder: Path) -> None:
    study = changed(
        STUDY,
        {
            "repeats": 2,
            "estimators.last": named("Mine", parameters="last_layer"),
            "estimators.some": named("Mine", parameters=["3.*"]),
            "estimators.both": named("Averaging", ensemble=2),
        },
    )
    plan = compile_study(loaded(folder, study))
    estimators = plan.cells[0].cell.estimators
    assert estimators["mine"].scored is None
    assert estimators["last"].scored == "last_layer"
    assert estimators["some"].scored == ("3.*",)
    found = {
        len(t.inputs) for t in plan.placements if t.estimator == "both" and t.kind != "measure"
    }
    assert found == {2}
    assert run(folder, study).failed == 0
    # A run knows the class, and what it scores by default.
    arms = rows(
        folder / "results",
        "SELECT DISTINCT estimator, score_parameters, mismatch IS NULL FROM arms ORDER BY ALL",
    )
    assert arms == [
        ("both", "all", True),
        ("exact", "all", True),
        ("last", "last_layer", False),
        ("mine", "all", True),
        ("some", "3.*", False),
    ]


YAML = """\
study: settings
datasets: {iris: {kind: iris, hold_out: [83]}}
models: {linear: {kind: linear}}
training: {newton: {kind: newton}}
estimators:
  mine:
    kind: python
    python: "code.py:Mine"
    settings: {damping: 0.1}
"""


@pytest.mark.parametrize(
    ("old", "new", "overrides", "expected"),
    [
        (
            "{damping: 0.1}",
            "{dampng: 0.1}",
            (),
            ["9:16 estimators.mine.settings.dampng: unknown key. Did you mean `damping`?"],
        ),
        (
            "{damping: 0.1}",
            "{damping: -1, dtype: single}",
            (),
            [
                "9:25 estimators.mine.settings.damping: expected a number of at least 0 or a "
                "mapping, got the number `-1`.",
                "9:36 estimators.mine.settings.dtype: `single` is not one of `float32`, `float64`.",
            ],
        ),
        (
            "",
            "sweep: {estimators.mine.settings.damping: [0.1, many]}\n",
            (),
            [
                "10:49 estimators.mine.settings.damping: expected a number or a mapping, got the "
                "text `many`."
            ],
        ),
        (
            "",
            "",
            ("estimators.mine.settings.dtype=single",),
            [
                "0:0 --set estimators.mine.settings.dtype=single: `single` is not one of "
                "`float32`, `float64`."
            ],
        ),
        (
            'Mine"\n    settings: {damping: 0.1}',
            'Wrong"',
            (),
            ["7:5 estimators.mine.settings.how: this key is missing."],
        ),
        (
            ":Mine",
            ":Main",
            (),
            ["8:13 estimators.mine.python: `code.py` has no `Main`. Did you mean `Mine`?"],
        ),
        (
            ":Mine",
            ":Elsewhere",
            (),
            [
                "8:13 estimators.mine.python: `Elsewhere` does not derive from "
                "`fragility.estimators.Estimator`."
            ],
        ),
        (
            ":Mine",
            ":Unnamed",
            (),
            [
                "8:13 estimators.mine.python: `Unnamed` has no kind. Add "
                '`kind: Literal["unnamed"] = "unnamed"`.'
            ],
        ),
        (
            ":Mine",
            ":OfGroups",
            (),
            [
                "8:13 estimators.mine.python: `OfGroups` scores groups in a way of its own, which "
                "must be known before it is imported. Install its package with an entry point, "
                "and use its `kind`."
            ],
        ),
        (
            ":Mine",
            ":Averaging",
            (),
            [
                "8:13 estimators.mine.python: `Averaging` averages over 2 models, which must be "
                "known before it is imported. Write `settings: {ensemble: 2}`."
            ],
        ),
    ],
)
def test_what_the_class_refuses_is_told_at_its_line(
    old: str, new: str, overrides: tuple[str, ...], expected: list[str], folder: Path
) -> None:
    text = YAML.replace(old, new) if old else YAML + new
    study = load_text(text, folder / "study.yaml", overrides)
    options = RunOptions(device="cpu", allow_code=True)
    with pytest.raises(StudyError) as error:
        run_study(study, folder / "results", options, lambda event: None)
    told = [f"{p.line}:{p.column} {p.path}: {p.message}" for p in error.value.problems]
    assert told == expected
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("code.py:Mine", "cod.py:Mine", "8:13 estimators.mine.python: there is no file `cod.py`"),
        ("code.py:Mine", "../code.py:Mine", "8:13 estimators.mine.python: `../code.py` is not"),
        ("settings", "setings", "9:5 estimators.mine.setings: unknown key. Did you mean"),
    ],
)
def test_what_can_be_seen_without_the_class_is_told_by_check(
    old: str, new: str, expected: str, folder: Path
) -> None:
    with pytest.raises(StudyError) as error:
        load_text(YAML.replace(old, new), folder / "study.yaml")
    (problem,) = error.value.problems
    assert f"{problem.line}:{problem.column} {problem.path}: {problem.message}".startswith(expected)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "AttributeError: 'Estimate' object has no attribute 'no_such_attribute'"),
        ("transposed", "`wrong` returned scores of shape 35 x 2, not 2 x 35"),
        ("infinite", "`wrong` returned scores that are not finite"),
        ("nothing", "`wrong` returned no Estimate with a tensor of scores"),
        ("facts", "`wrong` returned `residual` for 1 test points"),
    ],
)
def test_an_estimator_that_is_wrong_fails_alone(how: str, message: str, folder: Path) -> None:
    study = changed(STUDY, {"estimators.wrong": named("Wrong", how=how)})
    summary = run(folder, study)
    # Its agreement waits for it in vain.
    assert (summary.failed, summary.skipped) == (1, 1)
    assert summary.failures[0].message.startswith(message)
    assert "check_estimator" in summary.failures[0].message
    assert scores(folder, "mine") == scores(folder, "exact") != []
    assert scores(folder, "wrong") == []


def test_settings_that_look_alike_stay_apart(folder: Path) -> None:
    """`1`, `1.0` and `true` are equal in Python, and different in a study."""
    study = changed(
        TINY,
        {f"estimators.{k}": named("Mine", damping=v) for k, v in enumerate((1, 1.0, True, "1"))},
    )
    plan = compile_study(loaded(folder, study))
    ids = {t.task_id for t in plan.placements if t.kind == "estimate"}
    assert len(ids) == 5


def test_an_unused_estimator_needs_permission_too(folder: Path) -> None:
    with pytest.raises(UsageError, match="--allow-code"):
        run(folder, changed(STUDY, {"procedures": {}}), allow_code=False)
