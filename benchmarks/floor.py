"""What stopping at the learning rate's floor saves, and what it changes.

Iris as in `epifano-2023/iris-depth`: base models of 60,000 full-batch steps of Adam on a plateau
schedule, then the 25 training points of highest loss removed one at a time, each retrained for
7,500 steps from its base model; all of it again with `stop_at_floor`. Prints a Markdown table: the
steps of a base model and of a retraining with the stop (median, and largest of all), and the share
of all steps that it saves; the largest difference of a base model's parameter. Then, each against
taking all steps, the largest difference of an effect relative to the start's largest one and the
Spearman correlation of a start's effects (median, and worst start): where retrainings stop, where
base models stop too, and where nothing stops and base models are nudged by 1e-6 instead.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch
from scipy.stats import spearmanr

from benchmarks.iris import DECAY, examples
from benchmarks.rounding import test_losses
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Fit, Recorder, Start
from fragility.training.full_batch import FullBatch

REMOVED, BASE, RETRAINING = 25, 60_000, 7_500


class Setting:
    """One architecture with one penalty, from several starts."""

    def __init__(self, depth: int, decay: float, starts: int, dtype: str) -> None:
        self.model = MLP(width=5, depth=depth, activation="selu")
        self.decay, self.starts = decay, starts
        self.network = self.model.network((4,), 3)
        inputs, self.targets = examples()
        self.floating = torch.float64 if dtype == "float64" else torch.float32
        self.inputs, self.dtype = inputs.to(self.floating), dtype
        self.n = len(self.inputs)

    def train(self, stop: bool) -> Fit:
        initial = [self.model.initial((4,), 3, seed, self.floating) for seed in range(self.starts)]
        theta = torch.stack([self.network.layout.flatten(values) for values in initial])
        weights = torch.full((self.starts, self.n), 1 / self.n, dtype=self.floating)
        return self._fit(theta, weights, BASE, stop)

    def removed(self, theta: torch.Tensor) -> torch.Tensor:
        """Returns each start's training points of highest loss, (starts, REMOVED)."""
        problem = self.problem(torch.ones(self.starts, self.n, dtype=self.floating))
        losses = problem.loss.per_example(problem.outputs(theta, self.inputs), self.targets)
        return losses.topk(REMOVED, dim=1).indices

    def retrain(self, theta: torch.Tensor, removed: torch.Tensor, stop: bool) -> Fit:
        weights = torch.full((self.starts * REMOVED, self.n), 1 / (self.n - 1), dtype=self.floating)
        weights[torch.arange(len(weights)), removed.flatten()] = 0
        return self._fit(theta.repeat_interleave(REMOVED, dim=0), weights, RETRAINING, stop)

    def effects(self, base: torch.Tensor, retrained: torch.Tensor) -> torch.Tensor:
        """Returns the changes of the held-out row's loss, (starts, REMOVED)."""
        before = test_losses(self.problem(base[:, :1]), base)
        after = test_losses(self.problem(retrained[:, :1]), retrained)
        return (after.view(self.starts, REMOVED) - before.unsqueeze(1)).double()

    def problem(self, weights: torch.Tensor) -> StackProblem:
        decay = torch.full((len(weights), 1), self.decay, dtype=self.floating)
        layout = self.network.layout
        return StackProblem(
            self.network, CROSS_ENTROPY, layout, {}, self.inputs, self.targets, weights, decay
        )

    def _fit(self, theta: torch.Tensor, weights: torch.Tensor, steps: int, stop: bool) -> Fit:
        schedule = {"kind": "plateau", "patience": 100, "stop_at_floor": stop}
        adam = {"kind": "adam", "learning_rate": 1e-3}
        training = FullBatch.model_validate(
            {
                "kind": "full_batch",
                "steps": steps,
                "dtype": self.dtype,
                "optimizer": adam,
                "schedule": schedule,
            }
        )
        return training.fit(
            [training] * len(theta), self.problem(weights), Start(theta), Recorder()
        )


def row(setting: Setting) -> list[str]:
    whole, short = setting.train(False), setting.train(True)
    # The same points all ways: near ties may fall the other way, which is no matter of the stop.
    removed = setting.removed(whole.theta)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(whole.theta.shape, generator=generator, dtype=torch.float64)
    nudged = whole.theta + 1e-6 * noise.to(whole.theta)
    long = setting.retrain(whole.theta, removed, False)
    ends = [
        (whole.theta, setting.retrain(whole.theta, removed, True)),
        (short.theta, setting.retrain(short.theta, removed, True)),
        (nudged, setting.retrain(nudged, removed, False)),
    ]
    taken = int(short.steps.sum() + ends[1][1].steps.sum())
    saved = 1 - taken / int(whole.steps.sum() + long.steps.sum())
    moved = float((whole.theta - short.theta).abs().max())
    steps = [f"{int(s.median()):,} ({int(s.max()):,})" for s in (short.steps, ends[1][1].steps)]
    full = setting.effects(whole.theta, long.theta)
    found = [_compared(full, setting.effects(base, fit.theta)) for base, fit in ends]
    return [*steps, f"{100 * saved:.0f} %", f"{moved:.0e}", *found]


def _compared(one: torch.Tensor, other: torch.Tensor) -> str:
    """Returns the difference of effects (starts, REMOVED), and their Spearman correlation."""
    gap = ((one - other).abs().amax(dim=1) / one.abs().amax(dim=1)).tolist()
    order = [float(spearmanr(*pair).statistic) for pair in zip(one, other, strict=True)]
    difference = f"{median(gap):.0e} ({max(gap):.0e})"
    return f"{difference}, {median(order):.3f} ({min(order):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--penalties", type=float, nargs="+", default=[DECAY, 0.0])
    parser.add_argument("--precisions", nargs="+", default=["float64", "float32"])
    parser.add_argument("--starts", type=int, default=4)
    arguments = parser.parse_args()
    print(
        "| precision | L2 | depth | base steps | retraining steps | saved | parameter "
        "| retrainings stop | base models too | a nudge |"
    )
    print("|" + " --- |" * 10)
    for dtype in arguments.precisions:
        for decay in arguments.penalties:
            for depth in arguments.depths:
                found = row(Setting(depth, decay, arguments.starts, dtype))
                print("|", " | ".join([dtype, f"{decay:g}", str(depth), *found]), "|", flush=True)


if __name__ == "__main__":
    main()
