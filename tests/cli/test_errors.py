from pathlib import Path

from fragility.cli.errors import render
from fragility.errors import Problem, StoreDamagedError, StudyError, UsageError


def test_problems_of_a_study_are_shown_on_their_lines_with_carets() -> None:
    text = "study: x\nestimators:\n  exact: {kind: exact, dampng: 0.01}\n"
    problem = Problem(3, 24, "estimators.exact.dampng", "unknown key.", width=6)
    message, code = render(StudyError("my.yaml", [problem], text))
    assert code == 2
    assert message.splitlines() == [
        "my.yaml:3:24: estimators.exact.dampng: unknown key.",
        "    3 |   exact: {kind: exact, dampng: 0.01}",
        "      |                        ^^^^^^",
        "1 problem. Nothing was run.",
    ]


def test_other_errors_say_what_to_do_on_a_line_of_its_own() -> None:
    assert render(UsageError("What.", "Do this.")) == ("What.\nDo this.", 2)
    assert render(StoreDamagedError("What.")) == ("What.", 3)


def test_a_file_that_cannot_be_written_is_no_bug(tmp_path: Path) -> None:
    try:
        (tmp_path / "none" / "out.csv").open("w")
    except OSError as error:
        message, code = render(error)
    assert message == f"{tmp_path}/none/out.csv: no such file or directory."
    assert code == 2


def test_a_bug_is_one_line() -> None:
    message, code = render(KeyError("a\nb"))
    assert message.startswith("This is a bug in fragility: KeyError: ")
    assert "\n" not in message
    assert code == 70
