"""A run's record says how gradients were computed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fragility.cli.runs import show
from fragility.execution.environment import compilation
from fragility.store import Store
from tests.tiny import RIDGE, TINY, changed, rows, run

RECORD = "SELECT compilation FROM runs ORDER BY started, run_id"
PAYS_NOT = "eager: torch.compile does not pay here (benchmarks/torch_compile.py)"


@pytest.mark.parametrize(
    ("stacks", "line"),
    [
        ([], None),
        (["torch.compile"], "torch.compile: used for 1 of 1 stacks"),
        (["eager: a", "eager: b", "eager: b"], "eager: b; eager: a"),
        (
            ["torch.compile", "eager: a", "torch.compile"],
            "torch.compile: used for 2 of 3 stacks; eager: a",
        ),
    ],
)
def test_stacks_in_one_line(stacks: Sequence[str], line: str | None) -> None:
    assert compilation(stacks) == line


def test_a_run_of_small_stacks_says_that_it_does_not_pay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(TINY, tmp_path)
    run(TINY, tmp_path)
    # The second found all done.
    assert rows(tmp_path, RECORD) == [(PAYS_NOT,), (None,)]
    run(changed(RIDGE, {"training": {"exact": {"kind": "newton"}}}), tmp_path)
    assert rows(tmp_path, RECORD)[-1] == ("eager: Newton's method takes few",)
    show(store=tmp_path)
    assert "gradients  eager: Newton's method takes few" in capsys.readouterr().out


def test_a_run_counts_the_stacks_that_were_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(problem: Any, *given: object) -> tuple[Any, str]:
        return problem, "torch.compile" if problem.models > 1 else "eager: no C++ compiler"

    monkeypatch.setattr("fragility.training._compiling.compiled", some)
    run(TINY, tmp_path)
    line = "torch.compile: used for 1 of 2 stacks; eager: no C++ compiler"
    assert rows(tmp_path, RECORD) == [(line,)]


def test_records_from_before_there_was_such_a_column_are_read(tmp_path: Path) -> None:
    run(TINY, tmp_path)
    (end,) = (tmp_path / "log" / "runs").glob("*.end.json")
    record = json.loads(end.read_bytes())
    assert record.pop("compilation") == PAYS_NOT
    end.write_text(json.dumps(record))
    Store.rebuild(tmp_path)
    assert rows(tmp_path, RECORD) == [(None,)]
