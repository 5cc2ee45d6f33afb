"""How far rounding alone moves a published correlation: one network, ten orders of a sum.

    fragility run epifano-2023/iris-depth-tanh-goodseed --store results/reproduction
    python docs/reproduction/rounding.py results/reproduction

The Hessian of the last layer's weight is inverted as in the published code, of the mean loss,
without penalty and damping, in single precision; its 149 terms are added in ten orders. A row is a
depth; a column is Spearman's correlation of those scores with the effects that the run measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler
from torch import Tensor

TEST_ROW = 83
NETWORKS = """\
SELECT cell_id, c.factors->>'$."models.mlp.depth"' AS depth, artifact
FROM trainings JOIN cells c USING (cell_id)
WHERE study = 'iris-depth-tanh-goodseed' AND role = 'base' ORDER BY depth"""
EFFECTS = """\
SELECT train_point, effect FROM effects
WHERE cell_id = ? AND procedure = 'published' AND removal = 'point' ORDER BY train_point"""


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns standardized training inputs and labels, then those of the test row."""
    x, y = load_iris(return_X_y=True)
    train = np.delete(np.arange(len(x)), TEST_ROW)
    scaled = torch.tensor(StandardScaler().fit(x[train]).transform(x)).float()
    labels = torch.tensor(y)
    return scaled[train], labels[train], scaled[[TEST_ROW]], labels[[TEST_ROW]]


def features(values: dict[str, Tensor], inputs: Tensor, selu: bool) -> tuple[Tensor, Tensor]:
    """Returns what the last layer is given, and its probabilities."""
    names = sorted(values, key=lambda name: (int(name.split(".")[0]), name.endswith("bias")))
    layers = [values[name].float() for name in names]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        inputs = inputs @ weight.T + bias
        inputs = torch.nn.functional.selu(inputs) if selu else torch.tanh(inputs)
    return inputs, torch.softmax(inputs @ layers[-2].T + layers[-1], 1)


def gradients(given: Tensor, probabilities: Tensor, labels: Tensor) -> Tensor:
    """Returns the gradient of each example's loss in the last layer's weight, a row each."""
    residual = probabilities - torch.nn.functional.one_hot(labels, 3)
    return torch.einsum("nc,nf->ncf", residual, given).flatten(1)


def inverse(given: Tensor, probabilities: Tensor, order: Iterable[int]) -> Tensor:
    """Returns the inverse of the Hessian, its terms added in an order."""
    size = 3 * given.shape[1]
    hessian = torch.zeros(size, size)
    for i in order:
        p, a = probabilities[i], given[i]
        hessian += torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(a, a))
    return torch.inverse(hessian / len(given))


def main(store: Path) -> None:
    """Prints a line for each network of the run."""
    x, y, tested, label = data()
    generator = np.random.default_rng(0)
    orders = [np.arange(149), np.arange(149)[::-1], *(generator.permutation(149) for _ in range(8))]
    with duckdb.connect(str(store / "fragility.duckdb"), read_only=True) as connection:
        networks = connection.execute(NETWORKS).fetchall()
        for cell, depth, artifact in networks:
            values, selu = load_file(store / artifact), depth == "8"
            given, probabilities = features(values, x, selu)
            points, effects = zip(*connection.execute(EFFECTS, [cell]).fetchall(), strict=True)
            removed = gradients(given, probabilities, y)[list(points)]
            query = gradients(*features(values, tested, selu), label)[0]
            found = [
                spearmanr(removed @ (inverse(given, probabilities, order).T @ query), effects)[0]
                for order in orders
            ]
            print(f"depth {depth}:", " ".join(f"{one:5.2f}" for one in found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
