"""The lock files install anywhere what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest

from fragility.store.documentation import markdown

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .+)? \\$")


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if match := PIN.match(line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def names(requirements: list[str]) -> set[str]:
    words = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", word[0]).lower() for word in words if word}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_no_address(name: str) -> None:
    for line in (ROOT / name).read_text().splitlines():
        assert line.startswith(("#", "    --hash=sha256:")) or PIN.match(line), line


def test_the_locks_cover_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    runtime = names([*project["project"]["dependencies"], *groups["build"]])
    assert runtime <= pins("requirements.lock").keys()
    assert names(groups["dev"]) <= pins("requirements-dev.lock").keys()


def test_the_locks_agree() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert all(dev[name] == runtime[name] for name in runtime.keys() & dev.keys())


def test_torch_and_torchvision_are_a_pair() -> None:
    locked = pins("requirements.lock")
    assert (locked["torch"], locked["torchvision"]) == ({"2.15.0"}, {"0.29.2"})


def test_the_documented_tables_are_those_of_the_store() -> None:
    assert (ROOT / "docs" / "tables.md").read_text() == markdown(), "run `make docs`"
