import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.cli import small
from tests.cli.test_main import code_of


def completing(line: str, **environment: str) -> dict[str, str]:
    """What bash sets for `line`, whose last word is being typed."""
    return {
        "_FRAGILITY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        **environment,
    }


def completed(line: str, cwd: Path, **environment: str) -> list[str]:
    """What bash is offered for `line`."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.chdir(cwd)
        for name, value in completing(line, **environment).items():
            patch.setenv(name, value)
        assert code_of() == 0
    assert errors.getvalue() == ""
    return output.getvalue().split()


def test_commands(tmp_path: Path) -> None:
    """By a process of its own, as bash asks."""
    program = "from fragility.cli.main import main; main()"
    environment = {**os.environ, **completing("fragility re")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["report"] == completed("fragility re", tmp_path)


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
