"""The page on writing an estimator, followed to the letter: as a package, and as a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_main import code_of
from tests.tiny import rows

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
controls: false
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
SELECT round(mine.score / dot.score, 9), count(*)
FROM scores mine JOIN scores dot USING (test_point, train_point)
WHERE mine.estimator = 'mine' AND dot.estimator = 'dot' GROUP BY ALL
"""
# `grad_dot` with its 1/n, times the rate.
HALF = [(0.5, 90)]
# One process for all that it says: loading torch and every method is what takes its time.
SAID = f"""\
from fragility.cli.main import main
for words in (["describe", "estimators", "one_step"], ["check", "study.yaml"]):
    try:
        main(words)
    except SystemExit as stop:
        print("code", stop.code or 0)
    print("====")
from one_step import OneStep
{CHECK}"""

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
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("elsewhere")
    (directory / "study.yaml").write_text(STUDY.format(estimators=INSTALLED))
    return directory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Run:
    """The installed command, in an environment that has the page's package too."""
    project = tmp_path_factory.mktemp("project")
    (project / "one_step.py").write_text(MODULE)
    (project / "pyproject.toml").write_text(PROJECT)
    site = tmp_path_factory.mktemp("site")
    run = running(site, elsewhere)
    options = ("--quiet", "--disable-pip-version-check", "--no-index")
    options += ("--no-deps", "--no-build-isolation", "--target", str(site))
    run("python", "-m", "pip", "install", *options, str(project))
    return run


@pytest.fixture(scope="module")
def said(run: Run) -> list[str]:
    """What `describe`, `check` and the laws say there."""
    return run("python", "-c", SAID).split("====\n")


def test_an_installed_estimator_is_one_of_the_estimators(said: list[str]) -> None:
    described, _, _ = said
    assert described.startswith("one_step (estimators)\n\nWhat one step of gradient descent")
    for line in (
        "Valid when: the step is short.",
        "Cost: a gradient of every example.",
        "Reference: Pruthi et al. 2020, for one checkpoint.",
        "  rate: number > 0  (default 0.1)",
        "  ensemble: whole number > 0  (default 1)",
        "code 0",
    ):
        assert line in described


def test_an_installed_estimator_is_checked_and_the_laws_hold_for_it(said: list[str]) -> None:
    _, checked, laws = said
    assert checked == "study.yaml: no problems, 1 cell\ncode 0\n"
    assert laws == ""


def test_an_installed_estimator_is_run(run: Run, elsewhere: Path) -> None:
    assert "FAILED=0 SKIPPED=0" in run("fragility", "run", "study.yaml")
    assert rows(elsewhere / "results", RATIO) == HALF


def test_the_file_beside_a_study_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the package; the study is the page's."""
    (tmp_path / "one_step.py").write_text(MODULE)
    (tmp_path / "study.yaml").write_text(STUDY.format(estimators=ENTRY))
    monkeypatch.chdir(tmp_path)
    assert code_of("run", "study.yaml") == 2
    refused = capsys.readouterr().err
    assert str(tmp_path / "one_step.py") in refused
    assert "--allow-code" in refused
    assert not (tmp_path / "results").exists()
    run = running(tmp_path / "nothing", tmp_path)
    assert "FAILED=0 SKIPPED=0" in run("fragility", "run", "study.yaml", "--allow-code")
    assert rows(tmp_path / "results", RATIO) == HALF
