"""`fragility compare`: a run beside published numbers, and two runs beside each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fragility.store import BatchRecord, PlanRecord, RunEnd, RunStart, Store, TaskResult
from tests.cli.small import _columns
from tests.cli.test_main import code_of
from tests.cli.test_reading import printed

PLAIN, NAMED, OTHER = "20260105-1-a", "20260106-1-b", "20260107-1-c"
REFERENCE = """\
reference:
  name: epifano-2023
  settings: [{family: IRIS/figure1_l2_selu, setting: depth_1}]
"""
REPEATS = 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three runs of six repeats: the second names a reference, the third's values are others."""
    root = tmp_path_factory.mktemp("stores") / "results"
    with Store.open(root, write=True) as opened:
        for run_id, text, shift in ((PLAIN, "", 0.0), (NAMED, REFERENCE, 0.0), (OTHER, "", -0.4)):
            cells = [f"c{run_id}{repeat}" for repeat in range(REPEATS)]
            opened.start_run(
                RunStart(
                    run_id=run_id, study=f"s-{run_id}", plan_id=f"p{run_id}", seed=0,
                    started=f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T08:00:00+00:00",
                    study_text=f"study: s\n{text}", study_path=f"{run_id}.yaml",
                    overrides=["training.adam.steps=9"],
                ),
                plan(run_id, cells),
            )  # fmt: skip
            opened.commit(results(run_id, cells, shift))
            opened.end_run(RunEnd(run_id, "done", finished="2026-01-08T08:00:00+00:00"))
    return str(root)


def plan(run_id: str, cells: list[str]) -> PlanRecord:
    return PlanRecord(
        plan_id=f"p{run_id}",
        cells=_columns(
            "cell_id study dataset model regularization training repeat seed factors n_train n_test"
            " parameters arm",
            [(cell, f"s-{run_id}", "iris", "mlp", "l2", "adam", i, 0, "{}", 149, 1, 43, "mlp")
             for i, cell in enumerate(cells)],
        ),
        arms=_columns(
            "cell_id estimator procedure truth score_parameters truth_parameters mismatch",
            [(cell, "exact", "warm", "warm", "all", "all", None) for cell in cells],
        ),
        tasks=_columns(
            "task_id cell_id kind estimator procedure slot replicate batch_id",
            [(f"m{cell}", cell, "measure", "exact", "warm", None, None, "b") for cell in cells],
        ),
    )  # fmt: skip


def results(run_id: str, cells: list[str], shift: float) -> BatchRecord:
    found = [0.6 + 0.05 * i + shift for i in range(REPEATS)]
    return BatchRecord(
        batch_id=f"b{run_id}",
        finished="2026-01-08T08:00:00+00:00",
        tasks=tuple(TaskResult(f"m{cell}", "measure", "ok", None, 1.0) for cell in cells),
        tables={
            "agreement_facts": _columns(
                "task test_point metric weighting value n",
                [(i, 0, "spearman", "raw", value, 25) for i, value in enumerate(found)],
            ),
            "summary_facts": _columns(
                "task metric aggregation weighting value n_test n",
                [(i, "spearman", "median", "raw", value, 1, 25) for i, value in enumerate(found)],
            ),
        },
    )


def test_a_run_beside_published_numbers(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, "compare", NAMED, "epifano-2023", "--store", store)
    first, header, *lines = output.splitlines()
    assert first.startswith(f"{NAMED} beside epifano-2023 (")
    assert header.split()[:3] == ["family", "setting", "arm"]
    (spearman,) = [line for line in lines if "|Spearman|" in line]
    assert "0.780 (50)" in spearman
    assert "0.725 (6)" in spearman
    assert "  overridden in this run: training.adam.steps=9" in lines
    assert lines[-1].startswith("Of 4 comparisons, ")
    assert lines[-1].endswith("and 3 were not measured, of 1 published family.")


def test_the_same_as_json(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(
        printed(capsys, "compare", f"s-{NAMED}", "epifano-2023", "--json", "--store", store)
    )
    assert found["run"] == NAMED
    spearman = found["comparisons"][0]
    assert spearman["quantity"] == "spearman"
    assert spearman["ours"]["median"] == pytest.approx(0.725)
    assert spearman["ours"]["runs"] == REPEATS
    assert spearman["difference"]["value"] == pytest.approx(0.725 - 0.78)


def test_two_runs_beside_each_other(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, "compare", PLAIN, OTHER, "--store", store)
    # Their differences are all the same: nothing varies to judge by.
    assert "0.725  0.325  -0.400" in output
    assert "cannot tell (the difference is the same in every repeat)" in output
    same = printed(capsys, "compare", PLAIN, NAMED, "--store", store)
    assert "agrees (the same in every repeat)" in same
    found = json.loads(printed(capsys, "compare", PLAIN, OTHER, "--json", "--store", store))
    assert found["runs"] == [PLAIN, OTHER]
    assert found["rows"][0]["difference"] == pytest.approx(-0.4)
    assert found["equivalence_margin"] == 0.1


def test_a_study_without_a_reference_says_what_to_add(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("compare", PLAIN, "epifano-2023", "--store", store) == 2
    error = capsys.readouterr().err
    assert f"The study `s-{PLAIN}` of run {PLAIN} does not say what to hold against" in error
    assert "Add `reference:`" in error


def test_a_name_of_nothing(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("compare", PLAIN, "epifano-2022", "--store", store) == 2
    assert "references: `epifano-2023`" in capsys.readouterr().err
    assert code_of("compare", "a", "b", "--store", str(tmp_path)) == 2


@pytest.mark.parametrize("second", ["epifano-2023", OTHER])
def test_comparing_needs_no_torch(store: str, second: str) -> None:
    words = ["compare", NAMED, second, "--store", store]
    program = (
        "import sys; from fragility.cli.main import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as end: sys.exit(end.code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
