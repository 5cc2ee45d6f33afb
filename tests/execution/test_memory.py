"""A stack that does not fit in memory is taken in halves, with the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fragility.cli.options import memory_size
from fragility.errors import UsageError
from fragility.numerics.stack import StackProblem
from tests.tiny import TINY, rows, run

EFFECTS = "SELECT removal, test_point, train_point, effect FROM effects ORDER BY ALL"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_stack_that_is_too_large_comes_in_halves(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TINY, tmp_path / "whole")
    evaluate = StackProblem.evaluate
    largest = [0]

    def limited(problem: StackProblem, theta: Any) -> Any:
        if problem.models > 2:
            raise error
        largest[0] = max(largest[0], problem.models)
        return evaluate(problem, theta)

    monkeypatch.setattr(StackProblem, "evaluate", limited)
    monkeypatch.setattr("fragility.execution.run.predict_seconds", lambda bench, batches: 0.0)
    summary = run(TINY, tmp_path / "halves")
    assert (summary.failed, summary.skipped) == (0, 0)
    assert largest == [2]
    whole, halves = rows(tmp_path / "whole", EFFECTS), rows(tmp_path / "halves", EFFECTS)
    assert [row[:3] for row in whole] == [row[:3] for row in halves]
    assert [row[3] for row in whole] == pytest.approx([row[3] for row in halves], abs=1e-12)


def test_one_model_that_does_not_fit_is_a_failed_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(problem: StackProblem, theta: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(StackProblem, "evaluate", refuse)
    monkeypatch.setattr("fragility.execution.run.predict_seconds", lambda bench, batches: 0.0)
    summary = run(TINY, tmp_path)
    assert summary.failed == 1
    assert "MemoryError" in summary.failures[0].message


@pytest.mark.parametrize(
    ("written", "size"),
    [("2GB", 2 * 10**9), ("500mb", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("4096", 4096), (None, 7)],
)
def test_sizes_are_read_as_people_write_them(written: str | None, size: int) -> None:
    assert memory_size(written, 7) == size


@pytest.mark.parametrize("written", ["much", "-1GB", "0", "3X"])
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        memory_size(written, 7)
