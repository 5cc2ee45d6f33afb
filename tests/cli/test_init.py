import re
from pathlib import Path

import pytest

from tests.cli.test_main import code_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_minimal_study_is_commented_and_has_no_problems(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("init") == 0
    assert capsys.readouterr().out == "study.yaml\n"
    assert (folder / "study.yaml").read_text().count("#") >= 8
    assert code_of("check", "study.yaml") == 0
    assert "no problems" in capsys.readouterr().out


def test_shipped_studies_are_presets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("init", "epifano-2023/iris-depth", "--out", "mine.yaml") == 0
    assert code_of("init", "quickstart") == 0
    assert capsys.readouterr().out == "mine.yaml\nquickstart.yaml\n"
    assert code_of("check", "mine.yaml", "quickstart.yaml") == 0


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "study.yaml").write_text("mine")
    assert code_of("init") == 2
    assert "study.yaml exists and is not overwritten." in capsys.readouterr().err
    assert (folder / "study.yaml").read_text() == "mine"


def test_an_unknown_preset_is_an_error_with_a_suggestion(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("init", "minmal") == 2
    assert "Did you mean `minimal`?" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("init", "--out", "none/study.yaml") == 2
    assert "bug" not in capsys.readouterr().err


def test_the_template_takes_a_csv_file_of_ones_own_as_its_comment_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("init", "recommended") == 0
    text = (folder / "recommended.yaml").read_text()
    commented, shipped = text.index("#   datasets:\n"), text.index("\ndatasets:\n") + 1
    own = re.sub("^#   ", "", text[commented:shipped], flags=re.MULTILINE)
    rest = text[text.index("# (2)") :]
    (folder / "recommended.yaml").write_text(text[:commented] + own + "\n" + rest)
    rows = [f"{i % 7},{i % 5},{'yes' if i % 3 else 'no'}" for i in range(300)]
    (folder / "mine.csv").write_text("\n".join(["a,b,outcome", *rows]))
    assert code_of("plan", "recommended.yaml") == 0
    assert "recommended: 1 cell x 5 repeats" in capsys.readouterr().out
