"""From a name or a file to a study."""

import subprocess
import sys
from pathlib import Path

import pytest

from fragility.errors import StudyError, UsageError
from fragility.resources import resource
from fragility.study.cells import cells
from fragility.study.load import load_study
from fragility.study.shipped import shipped_studies
from tests.study.studies import STUDY


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_load(name):
    loaded = load_study(name)
    assert loaded.label == name
    assert loaded.path.is_file()
    assert cells(loaded)


def test_the_promised_studies_are_shipped():
    assert {"quickstart", "epifano-2023/iris-depth"} <= set(shipped_studies())


def test_a_file_comes_before_a_shipped_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text(STUDY)
    assert load_study("quickstart").study.study == "depth"


def test_a_folder_does_not_hide_a_shipped_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()
    assert load_study("quickstart").study.study == "quickstart"


def test_the_folder_of_the_file_is_known(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(STUDY)
    loaded = load_study(str(path), ["repeats=3"])
    assert loaded.directory == tmp_path
    assert (loaded.path, loaded.label, loaded.text) == (path, str(path), STUDY)
    assert loaded.study.repeats == 3


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quikstart", "Did you mean `quickstart`?"),
        ("my-stdy.yaml", "Did you mean `my-study.yaml`?"),
        ("epifano-2023/iris-deph", "Did you mean `epifano-2023/iris-depth`?"),
    ],
)
def test_a_name_of_nothing_is_told_the_nearest(name, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my-study.yaml").write_text(STUDY)
    with pytest.raises(UsageError) as error:
        load_study(name)
    assert error.value.message == f"`{name}` is neither a file nor a shipped study."
    assert error.value.hint == hint


@pytest.mark.parametrize("name", ["", "zzzzzzzzz", "a\0b", "x" * 5000])
def test_a_name_like_nothing_is_told_what_there_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        load_study(name)
    assert "`quickstart`" in error.value.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "cannot be read: is a directory."),
        (b"", "the file is empty."),
        (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 text"),
        (b"\0" * 10, "the character U+0000 cannot stand in a YAML file."),
        (b"a" * 2**21, "larger than 1 MiB"),
        (b"- a\n", "expected a mapping that begins with `study: NAME`, got a list."),
        (b"just words", "expected a mapping that begins with `study: NAME`, got the text"),
    ],
)
def test_a_file_that_is_no_study(data, message, tmp_path):
    path = tmp_path / "study.yaml"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    with pytest.raises(StudyError) as error:
        load_study(str(path))
    (problem,) = error.value.problems
    assert problem.message.startswith(message)
    assert error.value.file == str(path)


def test_resources_are_found():
    assert (resource("studies") / "quickstart.yaml").is_file()


def test_an_installed_wheel_has_resources_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "_data" / "studies").mkdir(parents=True)
    monkeypatch.setattr("fragility.resources.files", lambda name: tmp_path)
    assert resource("studies") == tmp_path / "_data" / "studies"
    assert resource("templates") == tmp_path.parent / "templates"


def test_names_are_had_without_methods_or_yaml():
    code = (
        "import sys; from fragility.study.shipped import shipped_studies; shipped_studies();"
        "from fragility.study.rendering import render;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'ruamel.yaml', 'pydantic', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
