"""B4: 200 minibatch retrainings of a digits MLP as one stack, against a plain PyTorch loop.

MLP 64-32-10, minibatches of 64, 20 epochs of Adam in float32, every model without another example
(weight zero, so that both sides see batches of one size). The loop trains a model at a time with
`torch.optim.Adam`; it is timed on some of the models, and both sides are given by model-step. Both
take the same steps on the same batches from the same start, and their final losses are compared.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from benchmarks.measure import MemoryLimit, alternate, machine
from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training._orders import permutation
from fragility.training.minibatch import Minibatch

BATCH = 64
DECAY = 1e-3
TRAINED_ON = 1437


class Side:
    """The same trainings done both ways."""

    def __init__(self, order: str, models: int, epochs: int, looped: int) -> None:
        inputs, targets = load_digits(return_X_y=True)
        self.inputs = torch.tensor(inputs[:TRAINED_ON] / 16, dtype=torch.float32)
        self.targets = torch.tensor(targets[:TRAINED_ON])
        self.n = len(self.inputs)
        self.models, self.epochs, self.looped = models, epochs, looped
        self.orders = [0 if order == "shared" else k for k in range(models)]
        self.architecture = MLP(hidden=(32,), activation="relu")
        network = self.architecture.network((64,), 10)
        weights = torch.full((models, self.n), 1 / self.n)
        weights[torch.arange(models), torch.arange(models)] = 0
        decay = torch.full((models, 1), DECAY)
        self.problem = StackProblem(
            network, CROSS_ENTROPY, network.layout, {}, self.inputs, self.targets, weights, decay
        )
        initial = self.architecture.initial((64,), 10, 0, torch.float32)
        self.start = network.layout.flatten(initial)
        self.training = Minibatch.model_validate(
            {"kind": "minibatch", "batch_size": BATCH, "epochs": epochs}
        )

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.n // BATCH)

    def stack(self) -> list[float]:
        start = Start(self.start.expand(self.models, -1), orders=self.orders)
        fit = self.training.fit([self.training] * self.models, self.problem, start, Recorder())
        return fit.final_loss[: self.looped].tolist()

    def loop(self) -> list[float]:
        return [self._alone(k) for k in range(self.looped)]

    def _alone(self, removed: int) -> float:
        module = self.architecture.build((64,), 10)
        torch.nn.utils.vector_to_parameters(self.start.clone(), module.parameters())
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, weight_decay=DECAY)
        kept = torch.ones(self.n)
        kept[removed] = 0
        for epoch in range(self.epochs):
            for rows in permutation(self.orders[removed], epoch, self.n).split(BATCH):
                optimizer.zero_grad()
                losses = cross_entropy(
                    module(self.inputs[rows]), self.targets[rows], reduction="none"
                )
                (losses @ kept[rows] / len(rows)).backward()
                optimizer.step()
        with torch.no_grad():
            losses = cross_entropy(module(self.inputs), self.targets, reduction="none")
            return float(losses @ kept / self.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--looped", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch, on both sides; default: its own")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(machine())
    limit = MemoryLimit()
    sides = {
        order: Side(order, arguments.models, arguments.epochs, arguments.looped)
        for order in ("shared", "independent")
    }
    for side in sides.values():
        side.stack()
    limit.check()
    for order, side in sides.items():
        gap = max(abs(a - b) for a, b in zip(side.stack(), side.loop(), strict=True))
        compared = alternate(side.stack, side.loop, arguments.rounds)
        ours = compared.ours / (side.models * side.steps)
        theirs = compared.theirs / (side.looped * side.steps)
        print(
            f"{order} order: stack of {side.models} {compared.ours:.1f} s, {ours * 1e6:.1f} us a "
            f"model-step; loop {theirs * 1e6:.0f} us"
        )
        print(f"ratio {theirs / ours:.1f}; largest difference of final losses {gap:.1e}")


if __name__ == "__main__":
    main()
