"""The commands that read studies and methods."""

import json
import re
from pathlib import Path

import pytest

from fragility.study.shipped import shipped_studies
from tests.cli.test_main import code_of

ROOT = Path(__file__).parents[2]
WRONG = """\
study: wrong
datasets:
  iris: {kind: iris}
models:
  linear: {kind: linear, dept: 3}
training:
  adam: {kind: full_batch, optimizer: {kind: adma}, steps: 10}
"""


def test_every_shipped_study_has_no_problems(capsys: pytest.CaptureFixture[str]) -> None:
    names = list(shipped_studies())
    assert {"quickstart", "epifano-2023/iris-depth"} <= set(names)
    assert code_of("check", *names) == 0
    assert capsys.readouterr().out.count("no problems") == len(names)


def test_the_readmes_study_has_no_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "readme.yaml"
    path.write_text(text)
    assert code_of("check", str(path)) == 0, capsys.readouterr().err


def test_all_problems_are_on_stderr_with_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    assert code_of("check", str(path)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{path}:5:26: models.linear.dept: " in output.err
    assert f"{path}:7:46: " in output.err
    assert "Did you mean `adam`?" in output.err
    assert "Traceback" not in output.err
    assert output.err.splitlines()[-1] == "2 problems. Nothing was run."


def test_one_wrong_study_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    assert code_of("check", str(path), "quickstart") == 2
    assert "quickstart: no problems" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "plan", "check"])
def test_every_command_finds_the_same_problems(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    assert code_of(command, str(path)) == 2
    assert "2 problems. Nothing was run." in capsys.readouterr().err


def test_overrides_are_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("check", "quickstart", "--set", "models.mlp.hiden=[3]") == 2
    assert "Did you mean `hidden`?" in capsys.readouterr().err
    assert code_of("check", "quickstart", "--repeats", "3") == 0
    assert "6 cells" in capsys.readouterr().out


def test_a_study_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("run", "quikstart") == 2
    assert "Did you mean `quickstart`?" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"study", "models", "sweep"} <= schema["properties"].keys()


def test_everything_is_listed_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert code_of("list") == 0
    everything = capsys.readouterr().out.splitlines()
    assert "estimators" in everything
    assert any(line.startswith("  exact") and line.endswith(".") for line in everything)
    assert code_of("list", "estimators") == 0
    assert "\nexact  " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("list", "estimatrs"), ("describe", "estimatrs", "exact")])
def test_an_unknown_room_has_a_suggestion(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*arguments) == 2
    assert "Did you mean `estimators`?" in capsys.readouterr().err


def test_a_method_is_described_with_fields_and_reference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert code_of("describe", "estimators", "exact") == 0
    text = capsys.readouterr().out
    assert text.startswith("exact (estimators)\n\n")
    for part in ("Valid when: ", "Cost: ", "  damping: ", "default"):
        assert part in text


def test_an_unknown_method_has_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("describe", "estimators", "exakt") == 2
    assert "Did you mean `exact`?" in capsys.readouterr().err
