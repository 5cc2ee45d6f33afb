"""Packages that estimators run are looked for before anything is computed, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fragility.errors import UsageError
from tests.tiny import TINY, changed, rows, run

PEERS = changed(
    TINY,
    {
        "estimators": {
            "exact": {"kind": "exact", "damping": 0.01},
            "theirs": {"kind": "captum", "damping": 0.01},
            "factors": {"kind": "kronfluence"},
        }
    },
)


def hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragility.execution.packages.find_spec", lambda name: None)


def test_what_is_missing_is_said_in_a_line_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch)
    with pytest.raises(UsageError) as caught:
        run(PEERS, tmp_path)
    assert str(caught.value).splitlines() == [
        "estimator `theirs` needs the package captum: pip install 'fragility[captum]'",
        "estimator `factors` needs the package kronfluence: pip install 'fragility[kronfluence]'",
    ]
    assert rows(tmp_path, "SELECT count(*) FROM tasks") == [(0,)]


def test_scores_that_are_there_need_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(PEERS, tmp_path)
    assert first.failed == 0
    ((versions,),) = rows(tmp_path, "SELECT versions FROM runs")
    found = json.loads(versions)
    assert {found["captum"], found["kronfluence"]} == {version("captum"), version("kronfluence")}
    assert "dattri" not in found
    hide(monkeypatch)
    assert run(PEERS, tmp_path).cached == first.ok


def test_a_run_of_other_tasks_needs_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch)
    assert run(PEERS, tmp_path, select=("kind:train",)).ok == 1


def test_a_package_that_cannot_be_imported_fails_its_tasks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.influence", None)
    summary = run(PEERS, tmp_path)
    assert [failure.kind for failure in summary.failures] == ["estimate"]
    (failure,) = summary.failures
    assert "captum cannot be imported" in failure.message
    assert failure.message.endswith("pip install 'fragility[captum]'")


def test_scores_by_captum_are_the_exact_ones(tmp_path: Path) -> None:
    run(PEERS, tmp_path)
    found = rows(
        tmp_path,
        "SELECT max(abs(a.score - b.score)), max(abs(a.score)) FROM scores a JOIN scores b "
        "USING (test_point, train_point) WHERE a.estimator = 'exact' AND b.estimator = 'theirs'",
    )
    ((difference, largest),) = found
    assert largest > 0
    assert difference < 1e-6 * largest


def test_listing_methods_imports_no_package() -> None:
    code = (
        "import sys; from fragility.estimators import ESTIMATORS; "
        "print(sorted(set(sys.modules) & {'captum', 'dattri', 'kronfluence'}), "
        "{'captum', 'dattri', 'kronfluence'} <= set(ESTIMATORS.methods))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[0] == "[] True"
