import subprocess
import sys
from pathlib import Path

import pytest

from fragility import __version__
from fragility.cli import doctor
from fragility.cli.main import main
from fragility.errors import StoreLockedError, UsageError

TORCH_FREE = [
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["runs"],
    ["show"],
    ["report"],
    ["query", "SELECT * FROM runs"],
    ["query", "--schema"],
    ["init", "--help"],
    ["doctor", "--quick"],
]
COMMANDS = [
    *("run", "plan", "check", "init", "schema", "report"),
    *("runs", "show", "query", "list", "describe", "doctor"),
]


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    code = stop.value.code
    assert isinstance(code, int) or code is None
    return code or 0


def failing_doctor(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def health(root: Path) -> list[str]:
        raise error

    monkeypatch.setattr(doctor, "health", health)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--help") == 0
    words = capsys.readouterr().out.split()
    assert [command for command in COMMANDS if command not in words] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(command, "--help") == 0
    assert "Usage: fragility " + command in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--version") == 0
    assert capsys.readouterr().out == f"fragility {__version__}\n"


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert code_of("reprot") == 2
    output = capsys.readouterr()
    assert "report" in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("No such thing.", "Take another."), 2, "No such thing.\nTake another.\n"),
        (StoreLockedError("Locked by process 7."), 3, "Locked by process 7.\n"),
    ],
)
def test_a_users_error_is_its_message_on_stderr_and_its_exit_code(
    error: Exception,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing_doctor(monkeypatch, error)
    assert code_of("doctor", "--quick") == code
    assert capsys.readouterr() == ("", words)


@pytest.mark.parametrize("arguments", [("doctor", "--debug"), ("--debug", "doctor")])
def test_debug_anywhere_adds_the_traceback(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_doctor(monkeypatch, UsageError("No such thing."))
    assert code_of(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("\nNo such thing.\n")


def test_a_bug_is_one_line_that_says_how_to_get_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_doctor(monkeypatch, KeyError("slot\nhere"))
    assert code_of("doctor", "--quick") == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("This is a bug in fragility: KeyError: ")
    assert "--debug" in line


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_doctor(monkeypatch, KeyboardInterrupt())
    assert code_of("doctor", "--quick") == 130


def test_a_reader_that_leaves_early_is_no_bug(tmp_path: Path) -> None:
    program = "from fragility.cli.main import main; main(['query', '--schema'])"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_what_only_reads_does_not_load_torch(tmp_path: Path) -> None:
    """One process for all of them: what one had loaded would still be there after the next."""
    program = (
        "import sys\n"
        "from fragility.cli.main import main\n"
        f"for words in {TORCH_FREE!r}:\n"
        "    try:\n"
        "        main(words)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "    if any(name.partition('.')[0] == 'torch' for name in sys.modules):\n"
        "        sys.exit(f'{words} loads torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"bug" not in done.stderr
