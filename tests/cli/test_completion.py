import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import small


def completed(line: str, cwd: Path, **environment: str) -> list[str]:
    """What bash is offered for `line`, whose last word is being typed."""
    program = "import sys; from fragility.cli.main import main; main(); "
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env={
            **os.environ,
            "_FRAGILITY_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands(tmp_path: Path) -> None:
    assert completed("fragility re", tmp_path) == ["report"]


def test_studies_are_the_shipped_ones_and_the_files_here(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").touch()
    (tmp_path / "quick.txt").touch()
    assert completed("fragility run q", tmp_path) == ["quickstart", "quick.yaml"]


def test_runs_and_studies_of_the_store(tmp_path: Path) -> None:
    small.write(tmp_path / "results")
    assert completed("fragility show 2", tmp_path) == [small.NEW, small.OLD]
    assert completed("fragility report wi", tmp_path) == ["wine"]


def test_the_store_may_be_named_before(tmp_path: Path) -> None:
    small.write(tmp_path / "other")
    assert completed("fragility show --store other 20260105", tmp_path) == [small.OLD]
    assert completed("fragility show 20260105", tmp_path, FRAGILITY_STORE="other") == [small.OLD]


def test_where_there_is_no_store_nothing_is_offered(tmp_path: Path) -> None:
    assert completed("fragility show 2", tmp_path) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fragility list es", ["estimators"]),
        ("fragility describe estimators ex", ["exact"]),
        ("fragility describe optimizers l", ["lbfgs"]),
        ("fragility describe nonsense e", []),
    ],
)
def test_methods(line: str, words: list[str], tmp_path: Path) -> None:
    assert completed(line, tmp_path) == words


def test_completion_does_not_load_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from fragility.cli import completion\n"
        "completion.studies('')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path).returncode == 0
