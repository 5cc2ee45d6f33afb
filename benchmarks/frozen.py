"""B3: 40 last-layer retrainings of LeNet on MNIST, against running the whole network each step.

Ten epochs over 60,000 images in batches of 1,024, Adam, L2 0.001; 61,706 parameters, of which the
last layer's 850 are trained. Ours pushes the images through the frozen part once and trains 40
last layers and a placebo as one stack on its features. The other side is what a user would write:
frozen parameters do not require gradients, and every step runs the whole network; it is timed on
some steps of one model, and both sides are given by model-step. To check equal work the placebo is
retrained both ways for a whole epoch in the same order, and the last layers are compared.

Reads MNIST from `--data DIR` or FRAGILITY_DATA (DIR/MNIST/raw).
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter

import torch
from torch import nn
from torchvision.datasets import MNIST

from benchmarks.measure import MemoryLimit, alternate, machine
from fragility.numerics.evaluate import features_of
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.network import Network
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training._orders import permutation
from fragility.training.minibatch import Minibatch

DECAY = 0.001
BATCH = 1024
MODELS = 41
ORDER_SEED = 0


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


class Side:
    """The same retrainings done both ways."""

    def __init__(self, root: str, looped_steps: int) -> None:
        data = MNIST(root, train=True, download=False)
        self.images = ((data.data.float() / 255 - 0.1307) / 0.3081).unsqueeze(1)
        self.labels = data.targets
        torch.manual_seed(0)
        self.module = lenet()
        self.looped_steps = looped_steps

    def stack(self, epochs: int, models: int = MODELS) -> torch.Tensor:
        network = Network(self.module.eval())
        parameters = {name: p.detach() for name, p in self.module.named_parameters()}
        parts = network.split(network.select("last_layer"))
        assert parts is not None
        prefix, head = parts
        features = features_of(prefix, parameters, self.images)
        n = len(features)
        weights = torch.full((models, n), 1 / n)
        weights[torch.arange(1, models), torch.arange(1, models)] = 0
        problem = StackProblem(
            network=head,
            loss=CROSS_ENTROPY,
            layout=head.layout,
            frozen={},
            inputs=features,
            targets=self.labels,
            weights=weights,
            decay=torch.full((models, 1), DECAY),
        )
        training = Minibatch.model_validate(
            {
                "kind": "minibatch",
                "batch_size": BATCH,
                "epochs": epochs,
                "optimizer": {"kind": "adam"},
            }
        )
        last = network.select("last_layer").flatten(parameters).expand(models, -1)
        start = Start(last, orders=(ORDER_SEED,) * models)
        return training.fit([training] * models, problem, start, Recorder()).theta

    def loop(self, steps: int | None = None) -> torch.Tensor:
        """Some steps of the placebo, the whole network each step."""
        module = lenet()
        module.load_state_dict(self.module.state_dict())
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        last = module[-1].requires_grad_(True)
        optimizer = torch.optim.Adam(last.parameters(), lr=1e-3, weight_decay=DECAY)
        order = permutation(ORDER_SEED, 0, len(self.images))
        for rows in torch.split(order, BATCH)[: steps or self.looped_steps]:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(self.images[rows]), self.labels[rows])
            loss.backward()
            optimizer.step()
        return torch.cat([last.weight.detach().ravel(), last.bias.detach()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("FRAGILITY_DATA", "data"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--looped-steps", type=int, default=10)
    arguments = parser.parse_args()
    print(machine())
    side = Side(arguments.data, arguments.looped_steps)
    limit = MemoryLimit()
    steps = -(-len(side.images) // BATCH) * arguments.epochs
    started = perf_counter()
    side.stack(arguments.epochs)
    print(f"41 retrainings, features included: {perf_counter() - started:.1f} s")
    limit.check()
    an_epoch = -(-len(side.images) // BATCH)
    gap = (side.stack(1, models=1)[0] - side.loop(an_epoch)).abs().max()
    print(f"largest difference of a weight after an epoch both ways: {float(gap):.1e}")
    compared = alternate(lambda: side.stack(arguments.epochs), side.loop, arguments.rounds)
    ours, theirs = compared.ours / (MODELS * steps), compared.theirs / arguments.looped_steps
    print(f"ours {ours * 1e6:.0f} us a model-step; whole network {theirs * 1e6:.0f} us")
    print(f"ratio {theirs / ours:.0f}")


if __name__ == "__main__":
    main()
