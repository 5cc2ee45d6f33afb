"""The page on writing an estimator, followed to the letter: as a package, and as a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "estimators.md").read_text()
BLOCKS = {
    language: re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    for language in ("python", "toml", "yaml")
}
MODULE, CHECK = BLOCKS["python"]
(PROJECT,) = BLOCKS["toml"]
(ENTRY,) = BLOCKS["yaml"]

STUDY = """\
study: theirs
datasets:
  iris: {{kind: iris, standardize: train, subset: {{train: 30, test: 6}}}}
models:
  linear: {{kind: linear}}
regularization:
  l2: {{kind: weight_decay, strength: 0.1}}
training:
  newton: {{kind: newton}}
{estimators}  dot: {{kind: grad_dot}}
procedures:
  loo:
    kind: leave_one_out
    solver: newton
    train_points: {{kind: random, count: 5}}
    test_points: {{kind: random, count: 3}}
"""
INSTALLED = "estimators:\n  mine: {kind: one_step, rate: 0.5}\n"
RATIO = """\
SELECT round(mine.score / dot.score, 9) AS ratio, count(*) AS scores
FROM scores mine JOIN scores dot USING (test_point, train_point)
WHERE mine.estimator = 'mine' AND dot.estimator = 'dot' GROUP BY ALL
"""

Run = Callable[..., str]


def running(site: Path, directory: Path) -> Run:
    """Returns what runs a program of this environment with one more directory on the path."""

    def run(program: str, *arguments: str, code: int = 0) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The installed command, in an environment that has the page's package too."""
    project = tmp_path_factory.mktemp("project")
    (project / "one_step.py").write_text(MODULE)
    (project / "pyproject.toml").write_text(PROJECT)
    site, directory = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    run = running(site, directory)
    options = ("--quiet", "--disable-pip-version-check", "--no-index")
    options += ("--no-deps", "--no-build-isolation", "--target", str(site))
    run("python", "-m", "pip", "install", *options, str(project))
    (directory / "study.yaml").write_text(STUDY.format(estimators=INSTALLED))
    return run


def test_an_installed_estimator_is_one_of_the_estimators(run: Run) -> None:
    described = run("fragility", "describe", "estimators", "one_step")
    assert described.startswith("one_step (estimators)\n\nWhat one step of gradient descent")
    for line in (
        "Valid when: the step is short.",
        "Cost: a gradient of every example.",
        "Reference: Pruthi et al. 2020, for one checkpoint.",
        "  rate: number > 0  (default 0.1)",
        "  ensemble: whole number > 0  (default 1)",
    ):
        assert line in described


def test_an_installed_estimator_is_checked_and_run(run: Run) -> None:
    assert run("fragility", "check", "study.yaml") == "study.yaml: no problems, 1 cell\n"
    assert "FAILED=0 SKIPPED=0" in run("fragility", "run", "study.yaml")
    ratio = run("fragility", "query", RATIO, "--format", "csv").split()
    # `grad_dot` with its 1/n, times the rate.
    assert ratio == ["ratio,scores", "0.5,90"]


def test_the_laws_hold_for_it(run: Run) -> None:
    assert run("python", "-c", f"from one_step import OneStep\n{CHECK}") == ""


def test_the_file_beside_a_study_gives_the_same(tmp_path: Path) -> None:
    """Without the package; the study is the page's."""
    run = running(tmp_path / "nothing", tmp_path)
    (tmp_path / "one_step.py").write_text(MODULE)
    (tmp_path / "study.yaml").write_text(STUDY.format(estimators=ENTRY))
    refused = run("fragility", "run", "study.yaml", code=2)
    assert str(tmp_path / "one_step.py") in refused
    assert "--allow-code" in refused
    assert not (tmp_path / "results").exists()
    assert "FAILED=0 SKIPPED=0" in run("fragility", "run", "study.yaml", "--allow-code")
    ratio = run("fragility", "query", RATIO, "--format", "csv").split()
    assert ratio == ["ratio,scores", "0.5,90"]
