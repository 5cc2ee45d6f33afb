"""How far rounding carries a model in a stack away from itself trained in another stack.

Iris, width 5, SELU, full-batch Adam with a plateau schedule: 25 leave-one-out retrainings and their
placebo as one stack of 26, against the same 26 in two stacks of 13. Prints a Markdown table of the
largest difference of a parameter, of an effect relative to the largest effect, and the Spearman
correlation of the effects between both ways (1 when their order is the same): the median over
several starts, and in brackets the worst of them.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_iris

from benchmarks.iris import DECAY, HELD_OUT, examples
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch

REMOVED = 25


def compare(
    depth: int, decay: float, dtype: str, steps: int, seed: int
) -> tuple[float, float, float]:
    training = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": steps,
            "dtype": dtype,
            "optimizer": {"kind": "adam"},
            "schedule": {"kind": "plateau", "patience": 100},
        }
    )
    floating = training.torch_dtype
    inputs, targets = examples()
    n, models = len(inputs), REMOVED + 1
    weights = torch.full((models, n), 1 / (n - 1), dtype=floating)
    weights[0] = 1 / n
    for k in range(1, models):
        weights[k, 5 * k] = 0
    architecture = MLP(width=5, depth=depth, activation="selu")
    network = architecture.network((4,), 3)
    problem = StackProblem(
        network=network,
        loss=CROSS_ENTROPY,
        layout=network.layout,
        frozen={},
        inputs=inputs.to(floating),
        targets=targets,
        weights=weights,
        decay=torch.full((models, 1), decay, dtype=floating),
    )
    start = network.layout.flatten(architecture.initial((4,), 3, seed, floating)).expand(models, -1)
    whole = training.fit([training] * models, problem, Start(start), Recorder()).theta
    half = models // 2
    parts = [
        training.fit([training] * half, problem.select(part), Start(start[:half]), Recorder()).theta
        for part in (slice(0, half), slice(half, models))
    ]
    split = torch.cat(parts)
    one, other = effects(problem, whole), effects(problem, split)
    order = float(spearmanr(one, other).statistic)
    gap = float((one - other).abs().max() / one.abs().max())
    return float((whole - split).abs().max()), gap, order


def effects(problem: StackProblem, theta: torch.Tensor) -> torch.Tensor:
    """Test loss of the held-out row without each point, less that of the placebo."""
    losses = test_losses(problem, theta)
    return (losses[1:] - losses[0]).double()


def test_losses(problem: StackProblem, theta: torch.Tensor) -> torch.Tensor:
    """Each model's loss on the held-out row."""
    raw, label = load_iris(return_X_y=True)
    keep = [i for i in range(len(raw)) if i != HELD_OUT]
    scaled = (raw[HELD_OUT] - raw[keep].mean(0)) / raw[keep].std(0)
    row = torch.tensor(scaled[None], dtype=theta.dtype)
    outputs = problem.outputs(theta, row)
    return problem.loss.per_example(outputs, torch.tensor([int(label[HELD_OUT])]))[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 7500, 60000])
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--starts", type=int, default=1)
    arguments = parser.parse_args()
    print("| precision | L2 | depth | steps | starts | parameter | effect | Spearman |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for dtype in ("float64", "float32"):
        for decay in (DECAY, 0.0):
            for depth in arguments.depths:
                for steps in arguments.steps:
                    found = [
                        compare(depth, decay, dtype, steps, seed)
                        for seed in range(arguments.starts)
                    ]
                    parameter, effect, order = zip(*found, strict=True)
                    cells = [dtype, f"{decay:g}", depth, f"{steps:,}", len(found)]
                    cells += [
                        f"{median(gaps):.0e} ({max(gaps):.0e})" for gaps in (parameter, effect)
                    ]
                    cells += [f"{median(order):.3f} ({min(order):.3f})"]
                    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
