"""B1: 1,250 leave-one-out models of Iris as one stack, against a plain PyTorch loop.

Depth 3, width 5, full-batch Adam with a plateau schedule in float32. The loop trains a model at a
time with `torch.optim.Adam` and `ReduceLROnPlateau`; it is timed on a few models, and both sides
are given by model-step. Both take the same steps from the same start, and their final losses are
compared. How the cost grows with depth, width and models is measured first, and with it the memory
of our side alone.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from benchmarks.measure import MemoryLimit, alternate, machine
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch

DECAY = 0.005
HELD_OUT = 83


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = load_iris(return_X_y=True)
    keep = np.arange(len(inputs)) != HELD_OUT
    scaled = StandardScaler().fit_transform(inputs[keep])
    return torch.tensor(scaled, dtype=torch.float32), torch.tensor(targets[keep])


class Side:
    """The same trainings done both ways."""

    def __init__(self, depth: int, width: int, models: int, steps: int, looped: int) -> None:
        self.architecture = MLP(width=width, depth=depth, activation="selu")
        self.models, self.steps, self.looped = models, steps, looped
        self.inputs, self.targets = examples()
        n = len(self.inputs)
        self.removed = [k % n for k in range(models)]
        network = self.architecture.network((4,), 3)
        self.layout = network.layout
        weights = torch.full((models, n), 1 / (n - 1))
        weights[torch.arange(models), torch.tensor(self.removed)] = 0
        self.problem = StackProblem(
            network=network,
            loss=CROSS_ENTROPY,
            layout=network.layout,
            frozen={},
            inputs=self.inputs,
            targets=self.targets,
            weights=weights,
            decay=torch.full((models, 1), DECAY),
        )
        starts = [self.architecture.initial((4,), 3, seed, torch.float32) for seed in range(50)]
        flat = torch.stack([network.layout.flatten(start) for start in starts])
        self.start = flat[torch.arange(models) % 50]
        self.training = FullBatch.model_validate(
            {
                "kind": "full_batch",
                "steps": steps,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "plateau", "patience": 100},
            }
        )

    def stack(self) -> list[float]:
        stack = [self.training] * self.models
        fit = self.training.fit(stack, self.problem, Start(self.start), Recorder())
        return fit.final_loss[: self.looped].tolist()

    def loop(self) -> list[float]:
        return [self._alone(k) for k in range(self.looped)]

    def _alone(self, k: int) -> float:
        module = self.architecture.build((4,), 3)
        torch.nn.utils.vector_to_parameters(self.start[k], module.parameters())
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=100)
        keep = torch.arange(len(self.inputs)) != self.removed[k]
        inputs, targets = self.inputs[keep], self.targets[keep]
        for _ in range(self.steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(inputs), targets)
            loss.backward()
            optimizer.step()
            schedule.step(loss.item())
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(module(inputs), targets))


def multiplications(depth: int, width: int, n: int) -> int:
    """Floating-point operations of the matrix products of one gradient, forward and backward."""
    forward = 4 * width + (depth - 1) * width * width + 3 * width
    return 3 * 2 * n * forward


def arithmetic_rate() -> float:
    """Operations a second of a large float32 matrix product on this machine."""
    a = torch.randn(1024, 1024)
    compared = alternate(lambda: a @ a, lambda: a @ a, 5)
    return 2 * 1024**3 / compared.ours


def headline(steps: int, rounds: int) -> None:
    side = Side(depth=3, width=5, models=1250, steps=steps, looped=4)
    gap = max(abs(a - b) for a, b in zip(side.stack(), side.loop(), strict=True))
    compared = alternate(side.stack, side.loop, rounds)
    ours = compared.ours / (side.models * steps)
    theirs = compared.theirs / (side.looped * steps)
    bound = multiplications(3, 5, 149) / arithmetic_rate()
    print(f"stack of 1,250: {ours * 1e6:.1f} us a model-step; loop: {theirs * 1e6:.0f} us")
    print(f"ratio {theirs / ours:.1f}; largest difference of final losses {gap:.1e}")
    print(f"matrix products at this machine's best rate: {bound * 1e6:.2f} us a model-step")


def growth(steps: int, rounds: int) -> None:
    print("depth width models  us a model-step")
    settings = [(d, 5, 1250) for d in (1, 2, 3, 5, 8)]
    settings += [(1, w, 1250) for w in (8, 20, 50)]
    settings += [(3, 5, k) for k in (1, 10, 100, 500, 1250, 5000)]
    for depth, width, models in settings:
        side = Side(depth, width, models, steps, looped=0)
        compared = alternate(side.stack, side.loop, rounds)
        print(f"{depth:5} {width:5} {models:6}  {compared.ours / (models * steps) * 1e6:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    limit = MemoryLimit()
    growth(max(1, arguments.steps // 10), max(1, arguments.rounds // 2))
    limit.check()
    headline(arguments.steps, arguments.rounds)


if __name__ == "__main__":
    main()
