"""Models and datasets whose code a study names: run when it is allowed, and never before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fragility.datasets import DATASETS, Data, facts
from fragility.errors import DataError, FragilityError, StudyError, UsageError
from fragility.execution.code import imported
from fragility.execution.events import RunSummary
from fragility.execution.run import RunOptions, run_study
from fragility.execution.workbench import Workbench
from fragility.plan import compile_study
from fragility.plan.catalog import Catalog
from fragility.plan.summary import summarize
from fragility.store import Store
from fragility.store.runs import last_resolved
from fragility.study.cells import cells
from fragility.study.load import LoadedStudy, load_text
from tests.cli.test_main import code_of
from tests.tiny import TINY, changed, everything, load, rows

CODE = """\
from math import prod
from pathlib import Path

import numpy as np
from torch import nn

Path(__file__).with_name("was-run").touch()
CONSTANT = 3


def mlp(input_shape, outputs, width=3):
    layers = nn.Linear(prod(input_shape), width), nn.Tanh(), nn.Linear(width, outputs)
    return nn.Sequential(nn.Flatten(), *layers)


class Own(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        self.layers = mlp(input_shape, outputs)

    def forward(self, inputs):
        return self.layers(inputs)


def normalized(input_shape, outputs):
    return nn.Sequential(nn.BatchNorm1d(input_shape[0]), nn.Linear(input_shape[0], outputs))


def nothing(input_shape, outputs):
    return None


def clusters(n=60, seed=0, numbers=False):
    generator = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = generator.normal(size=(n, 4)) + y[:, None]
    return {"x_train": x, "y_train": x[:, :2] if numbers else np.array(["c", "a", "b"])[y]}


def images(last=False, test=True):
    generator = np.random.default_rng(0)
    shape = (12, 5, 6, 3) if last else (12, 3, 5, 6)
    x = generator.integers(0, 256, size=shape, dtype=np.uint8)
    y = np.arange(12) % 2
    found = {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:]}
    return found if test else dict(list(found.items())[:2])


def returning(what):
    x, y = np.zeros((6, 2)), np.arange(6) % 2
    x[0] = np.nan
    return {
        "list": [x, y],
        "name": {"x": x, "y": y},
        "nan": {"x_train": x, "y_train": y},
        "whole": {"x_train": y[:, None], "y_train": y},
        "length": {"x_train": x[1:], "y_train": y},
        "ragged": {"x_train": [[1.0], [1.0, 2.0]], "y_train": [0, 1]},
        "labels": {"x_train": x[1:], "y_train": y[1:] + 0.5},
        "unlike": {"x_train": x[1:], "y_train": y[1:], "x_test": x[1:, :1], "y_test": y[1:]},
    }[what]


class Standardized(nn.Module):
    def __init__(self, features):
        super().__init__()
        zeros = nn.Linear(features, 1).weight.detach()[0] * 0
        self.mean, self.scale = nn.Parameter(zeros), nn.Parameter(zeros + 1)

    def forward(self, inputs):
        return (inputs - self.mean) * self.scale

    def from_data(self, inputs):
        return {"mean": inputs.mean(dim=0), "scale": 1 / inputs.std(dim=0)}


def standardized(input_shape, outputs):
    return nn.Sequential(Standardized(input_shape[0]), nn.Linear(input_shape[0], outputs))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "code.py").write_text(CODE)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("fragility_study_code_")]:
        del sys.modules[name]


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "python", "python": f"code.py:{name}", **fields}


CLUSTERS = named(
    "clusters",
    task="classification",
    sizes={"train": 48, "test": 12, "shape": [4], "outputs": 3},
)
STUDY = changed(TINY, {"datasets": {"mine": CLUSTERS}, "models": {"net": named("mlp")}})


def loaded(folder: Path, study: Any = STUDY) -> LoadedStudy:
    return load(study, folder / "study.yaml")


def run(folder: Path, study: Any = STUDY, *, store: str = "results", **options: Any) -> RunSummary:
    chosen = RunOptions(device="cpu", **{"allow_code": True, **options})
    return run_study(loaded(folder, study), folder / store, chosen, lambda event: None)


def data(folder: Path, **fields: Any) -> Data:
    study, _ = imported(
        loaded(folder, changed(STUDY, {"datasets": {"mine": fields}})), allowed=True
    )
    cell = cells(study)[0]
    return Catalog(folder).data(cell.dataset, cell.seed)


def test_loading_and_planning_run_no_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = loaded(folder)
    plan = compile_study(study)
    assert plan.cells[0].parameters is None
    assert (plan.cells[0].facts.n_train, plan.cells[0].facts.input_shape) == (48, (4,))
    (folder / "study.yaml").write_text(study.text)
    monkeypatch.chdir(folder)
    assert code_of("check", "study.yaml") == 0
    assert code_of("plan", "study.yaml") == 0
    told = capsys.readouterr().out
    assert "net: code that a run imports; until then memory and time are not known" in told
    assert "about" not in told
    assert code_of("plan", "study.yaml", "--json") == 0
    assert '"predicted_seconds": null' in capsys.readouterr().out
    assert code_of("plan", "study.yaml", "--out", "plan.json") == 0
    assert code_of("run", "study.yaml", "--allow-code", "--dry-run") == 0
    assert not (folder / "was-run").exists()
    assert code_of("run", "study.yaml") == 2
    error = capsys.readouterr().err
    assert "`mine`, `net`" in error
    assert "--allow-code" in error
    assert not (folder / "was-run").exists()
    assert not (folder / "results").exists()
    assert code_of("run", "study.yaml", "--allow-code", "--quiet") == 0
    assert (folder / "was-run").exists()


def test_a_run_does_the_tasks_of_the_plan(folder: Path) -> None:
    planned = compile_study(loaded(folder))
    assert not (folder / "was-run").exists()
    summary = run(folder)
    assert (summary.ok, summary.failed, summary.skipped) == (len(planned.tasks), 0, 0)
    done = rows(folder / "results", "SELECT task_id FROM tasks")
    assert {task for (task,) in done} == set(planned.tasks)
    assert rows(folder / "results", "SELECT parameters, n_train FROM cells") == [(27, 48)]


def test_a_factory_is_the_model_that_it_makes(folder: Path) -> None:
    """`mlp` draws its values as the model `mlp` of the same sizes does."""
    run(folder, changed(TINY, {"models": {"net": named("mlp")}}), store="own")
    run(folder, TINY, store="shipped")
    own, shipped = everything(folder / "own"), everything(folder / "shipped")
    sql = "SELECT test_point, train_point, score FROM scores ORDER BY ALL"
    assert rows(folder / "own", sql) == rows(folder / "shipped", sql) != []
    sql = "SELECT replicate, test_point, before, after FROM effects ORDER BY ALL"
    assert rows(folder / "own", sql) == rows(folder / "shipped", sql) != []
    assert {table: len(found) for table, found in own.items()} == {
        table: len(found) for table, found in shipped.items()
    }
    # A class that is no sequence has the same values, and is computed in another order.
    run(folder, changed(TINY, {"models": {"net": named("Own")}}), store="class")
    found, expected = (np.array(rows(folder / name, sql)) for name in ("class", "shipped"))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_settings_and_edits_are_other_tasks(folder: Path) -> None:
    first, store = run(folder), folder / "results"
    assert run(folder).cached == first.ok
    wider = changed(STUDY, {"models.net.settings": {"width": 5}})
    assert run(folder, wider).cached == 0
    # What a plan must know of the data changes none of them.
    assert run(folder, changed(STUDY, {"datasets.mine.sizes": None})).cached == first.ok
    assert run(folder).cached == first.ok
    with (folder / "code.py").open("a") as file:
        file.write("# another line\n")
    told = summarize(compile_study(loaded(folder)), frozenset(), last_resolved(store, "tiny"))
    assert told.rows[0].why == "datasets.mine has other code, models.net has other code"
    assert run(folder).cached == 0


def test_settings_can_be_swept(folder: Path) -> None:
    run(folder, changed(STUDY, {"sweep": {"models.net.settings.width": [2, 3]}}))
    sql = "SELECT arm, parameters FROM cells ORDER BY ALL"
    assert rows(folder / "results", sql) == [("width=2", 19), ("width=3", 27)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("CONSTANT", "models.net.python: `CONSTANT` is no function and no class."),
        ("mpl", "`code.py` has no `mpl`. Did you mean `mlp`?"),
        ("nothing", "`code.py:nothing` returns a NoneType. A model is a `torch.nn.Module`."),
        ("normalized", "`code.py:normalized` has batch normalization"),
    ],
)
def test_what_is_no_model_is_told_before_the_store_is_touched(
    model: str, message: str, folder: Path
) -> None:
    with pytest.raises((StudyError, UsageError)) as error:
        run(folder, changed(STUDY, {"models": {"net": named(model)}}))
    assert message in str(error.value)
    assert not (folder / "results").exists()


def test_a_factory_that_fails_says_where(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"`code.py:mlp` fails in line 12: TypeError: .*"):
        run(folder, changed(STUDY, {"models.net.settings": {"width": "wide"}}))
    with pytest.raises(UsageError, match=r"`code.py:mlp` fails: TypeError: .* 'depth'"):
        run(folder, changed(STUDY, {"models.net.settings": {"depth": 2}}))


def test_arrays_are_split_and_named_as_everywhere(folder: Path) -> None:
    found = data(folder, **named("clusters", task="classification", test_fraction=0.25))
    assert facts(found).n_test == 15
    assert found.classes == ("a", "b", "c")
    assert found.features == ("x0", "x1", "x2", "x3")
    x = np.random.default_rng(0).normal(size=(60, 4)) + (np.arange(60) % 3)[:, None]
    np.testing.assert_array_equal(found.train.inputs, x[found.train.rows])
    np.testing.assert_array_equal(found.train.targets, (found.train.rows % 3 + 2) % 3)
    numbers = data(folder, **named("clusters", task="regression", settings={"numbers": True}))
    np.testing.assert_array_equal(numbers.test.targets, x[numbers.test.rows, :2])


@pytest.mark.parametrize("last", [False, True])
def test_images_are_those_of_the_same_arrays_in_a_file(folder: Path, last: bool) -> None:
    space: dict[str, Any] = {}
    exec(CODE.replace("Path(__file__)", f"Path({str(folder / 'x.py')!r})"), space)
    np.savez(folder / "a.npz", **space["images"](last=last))
    file = DATASETS.methods["npz"].model_validate({"kind": "npz", "path": str(folder / "a.npz")})
    expected = file.load(0, folder)
    found = data(folder, **named("images", task="classification", settings={"last": last}))
    for part, other in ((found.train, expected.train), (found.test, expected.test)):
        assert part.inputs.dtype == np.float32
        np.testing.assert_array_equal(part.inputs, other.inputs)
        np.testing.assert_array_equal(part.targets, other.targets)
    assert found.classes == expected.classes
    split = named("images", task="classification", settings={"test": False}, hold_out=[1, 2])
    np.testing.assert_array_equal(data(folder, **split).test.rows, [1, 2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"settings": {"what": "list"}}, "`code.py:returning` returns a list. It must return"),
        ({"settings": {"what": "name"}}, "returns a mapping of ['x', 'y']"),
        ({"settings": {"what": "nan"}}, "`x_train` has values that are missing"),
        ({"settings": {"what": "whole"}}, "`x_train` holds int64"),
        ({"settings": {"what": "length"}}, "5 examples in `x_train` and 6 in `y_train`"),
        ({"settings": {"what": "ragged"}}, "what numpy makes no arrays of"),
        ({"settings": {"what": "labels"}}, "`y_train` holds float64 of shape (5,), not classes"),
        ({"settings": {"what": "unlike"}}, "of shape (2,) and test examples of shape (1,)"),
        ({"settings": {"what": "none"}}, "`code.py:returning` fails in line 52: KeyError: 'none'"),
        ({"python": "code.py:images", "hold_out": [0]}, "returns a test set of its own"),
    ],
)
def test_what_are_no_examples_is_told(fields: dict[str, Any], message: str, folder: Path) -> None:
    fields = {**named("returning", task="classification"), **fields}
    with pytest.raises(DataError) as error:
        data(folder, **fields)
    assert message in str(error.value)


def test_sizes_are_asked_for_by_a_plan_and_checked_by_a_run(folder: Path) -> None:
    unknown = changed(STUDY, {"datasets.mine.sizes": None})
    with pytest.raises(FragilityError, match=r"A plan does not run .* Write `sizes: {train: N,"):
        compile_study(loaded(folder, unknown))
    assert not (folder / "was-run").exists()
    assert run(folder, unknown).failed == 0
    wrong = changed(STUDY, {"datasets.mine.sizes.train": 47, "datasets.mine.subset": {"test": 5}})
    with pytest.raises(DataError, match=r"They are `{train: 48, test: 5, shape: \[4\], outputs: 3"):
        run(folder, wrong)


def test_the_example_of_the_documentation_runs(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    blocks = {
        language: page.split(f"```{language}\n")[1].split("```")[0]
        for language in ("python", "yaml")
    }
    (folder / "mine.py").write_text(blocks["python"])
    study = load_text(f"{blocks['yaml']}controls: false\n", folder / "study.yaml")
    planned = compile_study(study).tasks
    options = RunOptions(device="cpu", allow_code=True)
    summary = run_study(study, folder / "results", options, lambda event: None)
    assert (summary.ok, summary.failed) == (len(planned), 0)


def test_a_layer_of_its_own_begins_with_what_it_takes_from_the_training_examples(
    folder: Path,
) -> None:
    study = changed(TINY, {"models": {"net": named("standardized")}, "training.adam.steps": 0})
    assert run(folder, study).failed == 0
    plan = compile_study(loaded(folder, study))
    (planned,) = plan.cells
    catalog = Catalog(folder)
    inputs = catalog.data(planned.cell.dataset, planned.cell.seed).train.inputs
    with Store.open(folder / "results", write=False) as store:
        bench = Workbench(plan, catalog, store, torch.device("cpu"))
        found = bench.parameters(planned)
    np.testing.assert_allclose(found["0.mean"], inputs.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["0.scale"], 1 / inputs.std(axis=0, ddof=1), rtol=1e-6)
