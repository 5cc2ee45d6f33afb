"""Classes that a study names: found without being run, run as they were found."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fragility.code import find, load
from fragility.errors import UsageError

SPREAD = (
    "from pathlib import Path\nPath({marker!r}).touch()\n\n\nclass Mine:\n    value = {value}\n"
)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the code of these tests leaves behind when it is run."""
    return tmp_path / "was-run"


@pytest.fixture
def folder(tmp_path: Path, marker: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    write(folder / "mine.py", marker, 1)
    return folder


@pytest.fixture
def package(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on the path that an import would mark, at every level."""
    package = tmp_path / "site" / "spreading" / "inner"
    package.mkdir(parents=True)
    for file in (package.parent / "__init__.py", package / "__init__.py", package / "methods.py"):
        write(file, marker, 1)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "spreading"]:
        del sys.modules[name]


def write(file: Path, marker: Path, value: int) -> None:
    file.write_text(SPREAD.format(marker=str(marker), value=value))


def test_a_file_is_found_without_being_run(folder: Path, marker: Path) -> None:
    code = find("mine.py:Mine", folder)
    assert (code.where, code.name, code.path) == ("mine.py", "Mine", folder / "mine.py")
    assert not marker.exists()
    assert vars(load(code))["value"] == 1
    assert marker.exists()
    assert not (folder / "__pycache__").exists()


def test_a_module_is_found_without_its_packages_being_run(package: Path, marker: Path) -> None:
    code = find("spreading.inner.methods:Mine", Path())
    assert code.path == package / "methods.py"
    assert find("spreading.inner:Mine", Path()).path == package / "__init__.py"
    assert not marker.exists()
    assert not [name for name in sys.modules if name.startswith("spreading")]
    assert vars(load(code))["value"] == 1
    assert marker.exists()


@pytest.mark.parametrize("name", ["json.decoder", "fragility.estimators.exact", "email.mime.text"])
def test_modules_are_where_python_finds_them(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert str(find(f"{name}:Name", Path()).path) == spec.origin


def test_the_digest_is_that_of_the_content(folder: Path, marker: Path, tmp_path: Path) -> None:
    first = find("mine.py:Mine", folder)
    (tmp_path / "copy.py").write_bytes((folder / "mine.py").read_bytes())
    assert find("copy.py:Mine", tmp_path).digest == first.digest
    write(folder / "mine.py", marker, 2)
    second = find("mine.py:Mine", folder)
    assert second.digest != first.digest
    # What was hashed is what runs, although another text stands in the file by now.
    assert vars(load(first))["value"] == 1
    assert vars(load(second))["value"] == 2
    assert load(first) is load(first)


def test_the_digest_of_a_module_is_its_source_and_its_packages_version(
    package: Path, marker: Path
) -> None:
    def now() -> str:
        importlib.invalidate_caches()
        return find("spreading.inner.methods:Mine", Path()).digest

    digests = [now()]
    about = package.parents[1] / "spreading-1.0.dist-info"
    about.mkdir()
    (about / "top_level.txt").write_text("spreading\n")
    for version in ("1.0", "1.1"):
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: spreading\nVersion: {version}\n"
        )
        digests.append(now())
    write(package / "methods.py", marker, 2)
    digests.append(now())
    assert len(set(digests)) == 4
    assert not marker.exists()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mine.py", "names no class"),
        ("mine.py:", "names no class"),
        ("mine.py:Mine:Mine", "names no class"),
        ("mine.py:1", "names no class"),
        ("", "names no class"),
        ("mine:Mine.inner", "names no class"),
        ("../mine.py:Mine", "is not below the study's folder"),
        ("a/../mine.py:Mine", "is not below the study's folder"),
        ("/etc/mine.py:Mine", "is not below the study's folder"),
        ("min.py:Mine", "Did you mean `mine.py`?"),
        ("folder.py:Mine", "there is no file"),
        ("\0.py:Mine", "there is no file"),
        ("x" * 5000 + ".py:Mine", "there is no file"),
        ("mine.txt/x:Mine", "neither a module nor a file"),
        ("no_such_package.inner:Mine", "there is no module `no_such_package`"),
        ("json.no_such:Mine", "there is no module `json.no_such`"),
        ("json.decoder.deeper:Mine", "there is no module `json.decoder.deeper`"),
        ("builtins:Mine", "no source file"),
    ],
)
def test_what_names_no_class_is_refused(reference: str, message: str, folder: Path) -> None:
    (folder / "folder.py").mkdir()
    with pytest.raises(UsageError) as error:
        find(reference, folder)
    assert message in str(error.value)


def test_a_link_does_not_lead_out_of_the_folder(folder: Path, marker: Path) -> None:
    write(folder.parent / "outside.py", marker, 1)
    (folder / "link.py").symlink_to(folder.parent / "outside.py")
    (folder / "inside.py").symlink_to(folder / "mine.py")
    with pytest.raises(UsageError, match="not below"):
        find("link.py:Mine", folder)
    assert find("inside.py:Mine", folder).digest == find("mine.py:Mine", folder).digest


def test_a_folder_below_is_below(
    folder: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "methods").mkdir()
    write(folder / "methods" / "more.py", marker, 7)
    monkeypatch.chdir(folder)
    assert vars(load(find("methods/more.py:Mine", Path())))["value"] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise KeyError('no')\n", "importing `bad.py` fails in line 2: KeyError: 'no'."),
        ("import no_such_module\n", "fails in line 1: ModuleNotFoundError: No module named"),
        ("def f(:\n", "importing `bad.py` fails: SyntaxError: invalid syntax (bad.py, line 1)."),
        ("import sys\nsys.exit(3)\n", "fails in line 2: SystemExit: 3."),
        ("class Min: pass\n", "`bad.py` has no `Mine`. Did you mean `Min`?"),
    ],
)
def test_code_that_fails_says_where(text: str, message: str, folder: Path) -> None:
    (folder / "bad.py").write_text(text)
    code = find("bad.py:Mine", folder)
    for _ in range(2):
        with pytest.raises(UsageError) as error:
            load(code)
        assert message in str(error.value)
