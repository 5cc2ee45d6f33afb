"""What stopping at the learning rate's floor saves, and what it changes.

Iris as in `epifano-2023/iris-depth`, in float64: base models of 60,000 full-batch steps of Adam on
a plateau schedule, then the 25 training points of highest loss removed one at a time, each
retrained for 7,500 steps from its base model; all of it again with `stop_at_floor`. Prints a
Markdown table: the steps of a base model and of a retraining with the stop (median and largest of
all); the share of all steps that it leaves out; between both ways the largest difference of a base
model's parameter, the largest difference of an effect relative to the start's largest effect, and
the lowest Spearman correlation of a start's effects.
"""

from __future__ import annotations

import argparse

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

    def __init__(self, depth: int, decay: float, starts: int) -> None:
        self.model, self.decay, self.starts = (
            MLP(width=5, depth=depth, activation="selu"),
            decay,
            starts,
        )
        self.network = self.model.network((4,), 3)
        inputs, self.targets = examples()
        self.inputs = inputs.double()
        self.n = len(self.inputs)

    def train(self, stop: bool) -> Fit:
        initial = [self.model.initial((4,), 3, seed, torch.float64) for seed in range(self.starts)]
        theta = torch.stack([self.network.layout.flatten(values) for values in initial])
        weights = torch.full((self.starts, self.n), 1 / self.n, dtype=torch.float64)
        return self._fit(theta, weights, BASE, stop)

    def removed(self, theta: torch.Tensor) -> torch.Tensor:
        """Returns each start's training points of highest loss, (starts, REMOVED)."""
        problem = self.problem(torch.ones(self.starts, self.n, dtype=torch.float64))
        losses = problem.loss.per_example(problem.outputs(theta, self.inputs), self.targets)
        return losses.topk(REMOVED, dim=1).indices

    def retrain(self, theta: torch.Tensor, removed: torch.Tensor, stop: bool) -> Fit:
        weights = torch.full((self.starts * REMOVED, self.n), 1 / (self.n - 1), dtype=torch.float64)
        weights[torch.arange(len(weights)), removed.flatten()] = 0
        return self._fit(theta.repeat_interleave(REMOVED, dim=0), weights, RETRAINING, stop)

    def effects(self, base: torch.Tensor, retrained: torch.Tensor) -> torch.Tensor:
        """Returns the changes of the held-out row's loss, (starts, REMOVED)."""
        before = test_losses(self.problem(base[:, :1]), base)
        after = test_losses(self.problem(retrained[:, :1]), retrained)
        return after.view(self.starts, REMOVED) - before.unsqueeze(1)

    def problem(self, weights: torch.Tensor) -> StackProblem:
        decay = torch.full((len(weights), 1), self.decay, dtype=torch.float64)
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
                "dtype": "float64",
                "optimizer": adam,
                "schedule": schedule,
            }
        )
        return training.fit(
            [training] * len(theta), self.problem(weights), Start(theta), Recorder()
        )


def row(setting: Setting) -> list[str]:
    whole, short = setting.train(False), setting.train(True)
    # The same points both ways: near ties may fall the other way, which is no matter of the stop.
    removed = setting.removed(whole.theta)
    long = setting.retrain(whole.theta, removed, False)
    brief = setting.retrain(short.theta, removed, True)
    one, other = setting.effects(whole.theta, long.theta), setting.effects(short.theta, brief.theta)
    taken = int(short.steps.sum() + brief.steps.sum())
    saved = 1 - taken / int(whole.steps.sum() + long.steps.sum())
    gap = float(((one - other).abs().amax(dim=1) / one.abs().amax(dim=1)).max())
    order = min(float(spearmanr(*pair).statistic) for pair in zip(one, other, strict=True))
    moved = float((whole.theta - short.theta).abs().max())
    steps = [f"{int(s.median()):,} ({int(s.max()):,})" for s in (short.steps, brief.steps)]
    return [*steps, f"{100 * saved:.0f} %", f"{moved:.0e}", f"{gap:.0e}", f"{order:.4f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--starts", type=int, default=2)
    arguments = parser.parse_args()
    print("| L2 | depth | base steps | retraining steps | saved | parameter | effect | Spearman |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for decay in (DECAY, 0.0):
        for depth in arguments.depths:
            cells = [f"{decay:g}", depth, *row(Setting(depth, decay, arguments.starts))]
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
