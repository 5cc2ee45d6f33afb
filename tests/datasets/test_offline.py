"""With the network cut off: what is there is read, and what is not is told in full."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from fragility.datasets import DATASETS, Dataset
from fragility.errors import DataError
from tests.cli.test_main import code_of

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a connection was asked for, in vain."""
    found: list[Any] = []

    def cut_off(*given: Any, **_: Any) -> None:
        found.append(given[0] if isinstance(given[0], str) else given[1:])
        raise OSError("the network is cut off")

    monkeypatch.setattr(socket, "getaddrinfo", cut_off)
    monkeypatch.setattr(socket.socket, "connect", cut_off)
    monkeypatch.setattr(socket.socket, "connect_ex", cut_off)
    return found


def dataset(kind: str, **fields: Any) -> Dataset:
    return DATASETS.methods[kind].model_validate({"kind": kind, **fields})


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist", "cifar10"])
def test_files_that_are_there_need_no_network(root: Path, kind: str, asked: list[Any]) -> None:
    spec = dataset(kind, download=True)
    assert spec.source_digest(root)
    assert len(spec.load(0, root).train) == 60
    assert asked == []


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist", "cifar10"])
def test_nothing_is_asked_for_unless_a_study_says_so(
    tmp_path: Path, kind: str, asked: list[Any]
) -> None:
    with pytest.raises(DataError, match="is not on this machine"):
        dataset(kind).load(0, tmp_path)
    assert asked == []


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist", "cifar10"])
def test_a_download_in_vain_names_every_place(tmp_path: Path, kind: str, asked: list[Any]) -> None:
    with pytest.raises(DataError, match="could not be downloaded into") as caught:
        dataset(kind, root="own", download=True).load(0, tmp_path)
    assert len(asked) > 0
    for place in ("own", "work/data"):
        assert str(tmp_path / place) in caught.value.message
    assert "copy the files there from another machine" in str(caught.value.hint)


def test_a_command_ends_with_the_reason(
    tmp_path: Path, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    study = """\
study: offline
controls: false
datasets: {digits: {kind: mnist, download: true}}
models: {linear: {kind: linear}}
training: {newton: {kind: newton}}
"""
    (tmp_path / "study.yaml").write_text(study)
    for command in ("plan", "run"):
        assert code_of(command, str(tmp_path / "study.yaml"), "--store", str(tmp_path / "s")) == 2
        told = capsys.readouterr()
        assert "MNIST could not be downloaded" in told.err
        assert str(tmp_path / "work" / "data") in told.err
        assert "Traceback" not in told.err
    assert len(asked) > 0
