"""A stack of convex problems that is interrupted goes on and ends with the same bits."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

from fragility.numerics.convex import base
from fragility.numerics.convex.affine import affine_stack
from fragility.numerics.convex.base import ConvexStack
from fragility.numerics.convex.general import GeneralStack
from fragility.numerics.descent import Descent
from fragility.numerics.network import Network
from fragility.numerics.newton import Optima, optima
from fragility.numerics.stack import StackProblem
from tests.numerics.test_newton import stack, zeros

MODELS = 9
# In the order in which groups are solved, the chunks end after 2, 4, 5; 7, 8; 9 models.
STRENGTHS = torch.tensor([0.05, 0.3, 0.05, 0.3, 0.05, 0.3, 0.05, 2.0, 0.05]).unsqueeze(1)
CHUNKS = 6


class Interrupted:
    """Keeps the state after every chunk, and interrupts after one of them."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.kept: dict[str, Tensor] | None = None

    def due(self) -> bool:
        return True

    def save(self, state: dict[str, Tensor]) -> None:
        # As a file would give it back: in C order, in memory of its own.
        self.kept = {name: value.contiguous().clone() for name, value in state.items()}
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def load(self) -> dict[str, Tensor] | None:
        return self.kept


def solve(problem: StackProblem, checkpoint: Interrupted | None = None) -> Optima:
    start = zeros(problem)
    tolerance = start.new_full((problem.models,), 1e-10)
    limits = torch.full((problem.models,), 100)
    return optima(problem, start, tolerance, limits, checkpoint=checkpoint)


def problem(kind: str, monkeypatch: pytest.MonkeyPatch) -> StackProblem:
    """Nine models in three groups, in chunks of two, with each kind of preconditioner."""
    torch.manual_seed(0)
    pooled = Network(nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 4), nn.Flatten()))
    limits = {
        "factor": {},
        "leading": {"FACTOR_LIMIT": 8, "LEADING": 8},
        "diagonal": {"FACTOR_LIMIT": 8, "MOMENTS_LIMIT": 5},
        "mapped": {},
        "mapped_identity": {"FACTOR_LIMIT": 3},
    }
    for name, value in limits[kind].items():
        monkeypatch.setattr(base, name, value)
    mapped = kind.startswith("mapped")
    whole = stack(
        features=6,
        outputs=9 if mapped else 3,
        models=MODELS,
        decay=STRENGTHS,
        network=pooled if mapped else None,
    )
    convex: ConvexStack = GeneralStack(whole) if mapped else affine_stack(whole)
    monkeypatch.setattr(base, "STACK_BYTES", 2 * convex.bytes_a_model)
    return whole


@pytest.mark.parametrize("after", range(1, CHUNKS + 1))
@pytest.mark.parametrize("kind", ["factor", "leading", "diagonal", "mapped", "mapped_identity"])
def test_it_goes_on_with_the_same_bits_after_any_chunk(
    kind: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = problem(kind, monkeypatch)
    undisturbed = solve(whole)
    checkpoint = Interrupted(after)
    with pytest.raises(KeyboardInterrupt):
        solve(whole, checkpoint)
    chunks = []
    run = Descent.run

    def counted(descent: Descent, observe: object) -> None:
        chunks.append(len(descent.theta))
        run(descent, None)

    monkeypatch.setattr(Descent, "run", counted)
    resumed = solve(whole, checkpoint)
    assert len(chunks) == CHUNKS - after
    assert sum(chunks) == MODELS - (2, 4, 5, 7, 8, 9)[after - 1]
    for field in fields(Optima):
        assert torch.equal(getattr(resumed, field.name), getattr(undisturbed, field.name))
