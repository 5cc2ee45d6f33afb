"""Studies of images: from files to effects, wherever the files lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fragility.datasets import _known
from fragility.datasets.mnist import Mnist
from fragility.execution.workbench import Workbench
from fragility.plan.catalog import Catalog
from fragility.store import Store
from tests.cli.test_main import code_of
from tests.datasets.images import SIZES, gray, labels, write_folder, write_idx
from tests.tiny import TINY, changed, plan, rows, run

STUDY = changed(
    TINY,
    {
        "datasets": {
            "digits": {"kind": "mnist", "subset": {"train": 40, "test": 10, "kind": "stratified"}}
        },
        "models": {"linear": {"kind": "linear"}},
        "estimators": {"last": {"kind": "cg", "damping": 0.01}},
    },
)
TASKS = 1 + 1 + 5 + 2 + 1
"""Base model, scores, a placebo and four retrainings, effects and agreement, a diagnostic."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST, and nothing else where data are looked for."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FRAGILITY_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(_known, "SETTLED", -(10**12))
    write_idx(tmp_path / "data")
    return tmp_path / "data"


def test_a_run_of_images_is_found_again_where_the_files_moved(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAGILITY_DATA", str(data))
    root = tmp_path / "results"
    assert run(STUDY, root).ok == TASKS
    shutil.move(data, tmp_path / "moved")
    again = run(changed(STUDY, {"datasets.digits.root": str(tmp_path / "moved")}), root)
    assert (again.ok, again.cached) == (0, TASKS)

    def refuse(*_: object) -> None:
        raise AssertionError("pixels are read")

    monkeypatch.setattr(Mnist, "pixels", refuse)
    monkeypatch.setenv("FRAGILITY_DATA", str(tmp_path / "moved"))
    Path("study.yaml").write_text(json.dumps(STUDY))
    assert code_of("plan", "study.yaml", "--store", str(root)) == 0
    assert "All done" in capsys.readouterr().out


def test_the_same_images_in_an_array_give_the_same_effects(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAGILITY_DATA", str(data))
    parts = {f"x_{part}": gray(part) for part in SIZES} | {f"y_{p}": labels(p) for p in SIZES}
    np.savez(data / "digits.npz", **parts)
    inner = {**STUDY["datasets"]["digits"], "kind": "npz", "path": "digits.npz"}
    found = []
    for number, fields in enumerate([STUDY["datasets"]["digits"], inner]):
        root = tmp_path / f"results {number}"
        run(changed(STUDY, {"datasets.digits": fields}), root)
        found.append(
            rows(root, "SELECT removal, train_point, test_point, effect FROM effects ORDER BY ALL")
        )
    assert len(found[0]) >= 8
    assert found[0] == found[1]


def test_the_command_line_says_where_data_are(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("study.yaml").write_text(json.dumps(STUDY))
    assert code_of("plan", "study.yaml") == 2
    assert str(data.parent / "nothing") in capsys.readouterr().err.replace("\n", "")
    assert code_of("plan", "study.yaml", "--data", str(data)) == 0
    assert "1 base model" in capsys.readouterr().out


def test_examples_are_in_memory_once(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("FRAGILITY_DATA", str(data))
    compiled, catalog = plan(STUDY), Catalog(Path())
    cell = compiled.cells[0]
    with Store.open(tmp_path / "results", write=True) as store:
        bench = Workbench(compiled, catalog, store, torch.device("cpu"))
        tensors = bench.examples(cell, torch.float32)
    held = catalog.data(cell.cell.dataset, cell.cell.seed)
    assert np.shares_memory(tensors.inputs.numpy(), held.train.inputs)
    assert tensors.inputs.dtype == torch.float32
    assert tensors.inputs.shape == (40, 1, 28, 28)


def test_images_in_folders_train_a_network(data: Path, tmp_path: Path) -> None:
    write_folder(data / "photographs")
    study = changed(
        STUDY,
        {
            "datasets": {
                "photographs": {
                    "kind": "image_folder",
                    "path": str(data / "photographs"),
                    "subset": {"train": 40, "test": 10, "kind": "stratified"},
                    "resize": 8,
                    "normalize": "train",
                }
            },
            "models": TINY["models"],
        },
    )
    assert run(study, tmp_path / "results").ok == TASKS
