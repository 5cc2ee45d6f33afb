"""A stack that does not fit in memory is taken in halves, with the same results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fragility.cli.options import memory_size
from fragility.errors import UsageError
from fragility.execution.environment import stack_bytes
from fragility.numerics.card import card_bytes
from fragility.numerics.stack import BLOCK_BYTES, StackProblem, working_set
from fragility.plan.fusion import STACK_BYTES
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
    [("2GB", 2 * 10**9), ("500mb", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("4096", 4096), (None, None)],
)
def test_sizes_are_read_as_people_write_them(written: str | None, size: int | None) -> None:
    assert memory_size(written) == size


@pytest.mark.parametrize("written", ["much", "-1GB", "0", "3X"])
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        memory_size(written)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A card with 80 GiB, of which another program has most."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * 2**30, 80 * 2**30))
    card_bytes.cache_clear()
    yield torch.device("cuda", 1)
    card_bytes.cache_clear()


def test_stacks_are_as_large_as_the_device_allows(card: torch.device) -> None:
    assert (stack_bytes(card), working_set(card)) == (20 * 2**30, 5 * 2**30)
    cpu = torch.device("cpu")
    assert (stack_bytes(cpu), working_set(cpu)) == (STACK_BYTES, BLOCK_BYTES)


def test_a_run_takes_the_device_s_memory_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragility.execution.run.stack_bytes", lambda device: 1)
    run(TINY, tmp_path / "small")
    run(TINY, tmp_path / "told", memory=STACK_BYTES)
    sql = "SELECT count(DISTINCT batch_id) FROM tasks WHERE kind = 'retrain'"
    assert rows(tmp_path / "small", sql) == [(5,)]
    assert rows(tmp_path / "told", sql) == [(1,)]
