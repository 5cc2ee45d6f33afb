"""What `make reproduce` would run, as the Makefile says it: nothing is run."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from fragility.study.load import load_study
from tests.study.test_published_images import PARAMETERS, in_the_head

ROOT = Path(__file__).parents[1]
STUDIES = {path.stem for path in (ROOT / "studies" / "epifano-2023").glob("*.yaml")}
# For a GPU; and how the published test point was chosen, which has no scores.
LEFT_OUT = {"mnist-vgg", "cifar-vgg", "iris-test-row"}


def test_every_study_is_run_once_and_those_of_a_reduced_size_as_their_heads_say(
    tmp_path: Path,
) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").touch()
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    said = [*dry_run("reproduce-first", tmp_path), *dry_run("reproduce-second", tmp_path)]
    found = dict(said)
    assert len(said) == len(found)
    assert set(found) == STUDIES - LEFT_OUT
    for study in set(found) & set(PARAMETERS):
        options = found[study]
        assert sized(options) == in_the_head(study)
        assert options[options.index("--data") + 1] == str(tmp_path)
        assert options[options.index("--store") + 1] == "S-images"
    for study in set(found) - set(PARAMETERS):
        load_study(f"epifano-2023/{study}", sized(found[study]))


def test_base_models_that_studies_share_are_in_one_store(tmp_path: Path) -> None:
    first = {study for study, _ in dry_run("reproduce-first", tmp_path)}
    assert {"iris-depth", "iris-depth-frozen", "revisited"} <= first
    stores = {
        options[options.index("--store") + 1] for _, options in dry_run("reproduce-first", tmp_path)
    }
    assert stores == {"S"}


@pytest.mark.parametrize("missing", ["MNIST/raw", "cifar10/train"])
def test_studies_whose_images_are_not_there_are_named_and_left_out(
    missing: str, tmp_path: Path
) -> None:
    there = "cifar10/train" if missing == "MNIST/raw" else "MNIST/raw"
    (tmp_path / there).mkdir(parents=True)
    if there == "MNIST/raw":
        (tmp_path / there / "train-images-idx3-ubyte").touch()
    found = {study for study, _ in dry_run("reproduce-second", tmp_path)}
    kind = missing[:5].lower()
    assert not any(kind in study for study in found)
    assert "iris-width" in found
    assert f"there are no images in {tmp_path}/{missing}" in printed("reproduce-second", tmp_path)


def test_a_run_with_failed_tasks_goes_on_and_a_bug_ends_it(tmp_path: Path) -> None:
    for code, runs in ((0, 2), (1, 2), (70, 1)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / "fragility"
        program.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/{code}\nexit {code}\n")
        program.chmod(0o755)
        done = subprocess.run(
            [
                *("make", "-s", "reproduce-second", f"BIN={tmp_path}/bin"),
                *("SECOND=iris-width iris-width-no-l2", "SECOND_AVERAGED=", "SECOND_BAYESIAN="),
                *(f"DATA={tmp_path}", "STORE=S"),
            ],
            cwd=ROOT,
            capture_output=True,
        )
        assert (done.returncode == 0) == (code < 70)
        assert (tmp_path / str(code)).read_text().count("ran") == runs


def printed(target: str, data: Path) -> str:
    command = ["make", "-n", target, f"DATA={data}", "STORE=S"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def dry_run(target: str, data: Path) -> list[tuple[str, list[str]]]:
    """Returns the studies that a target would run, each with its options."""
    found = []
    for part in printed(target, data).replace("\\\n", " ").replace("\n", ";").split(";"):
        words = shlex.split(part) if " run epifano-2023/" in part else []
        if words:
            options = words[words.index("run") + 2 : words.index("||")]
            found.append((words[words.index("run") + 1].removeprefix("epifano-2023/"), options))
    return found


def sized(options: list[str]) -> list[str]:
    """Returns the overrides that options make."""
    pairs = zip(options[::2], options[1::2], strict=True)
    forms = {"--repeats": "repeats={}", "--set": "{}"}
    return [forms[name].format(value) for name, value in pairs if name in forms]
