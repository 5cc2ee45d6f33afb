"""How far propagated moments are from those of sampled weights, in networks that were trained.

Iris with row 83 held out; Bayesian networks `bnn_mlp` of width 5 with tanh, by full-batch Adam at
1e-2 with a plateau schedule, in float64. Of each trained network many weights are drawn from their
Gaussians and run one by one; over the training examples and their logits, a Markdown table has the
quantiles (10, 50 and 90 %) of the propagated variance over the sampled one, and of the error of the
propagated mean in sampled standard deviations; the share of examples for which the propagated mean
has its largest entry where the sampled probabilities' mean has; and the largest variance.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.iris import examples
from fragility.models.bnn_mlp import BayesianMLP
from fragility.numerics.network import Layout
from fragility.numerics.penalties import Term
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch

QUANTILES = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


def trained(model: BayesianMLP, starts: int, steps: int) -> list[dict[str, Tensor]]:
    """Returns the parameters that training from some starts leads to."""
    inputs, targets = examples()
    network, n = model.network((4,), 3), len(inputs)
    layout = network.layout
    initial = [model.initial((4,), 3, seed, torch.float64) for seed in range(starts)]
    theta = torch.stack([layout.flatten(values) for values in initial])
    terms = tuple(
        Term(penalty.form, strength.expand(starts, -1))
        for penalty in model.penalties(layout, n)
        for strength in [_spread(layout, penalty.strengths)]
    )
    weights = torch.full((starts, n), 1 / n, dtype=torch.float64)
    problem = StackProblem(
        network=network,
        loss=model.loss("classification", n),
        layout=layout,
        frozen={},
        inputs=inputs.double(),
        targets=targets,
        weights=weights,
        decay=torch.zeros(starts, 1, dtype=torch.float64),
        terms=terms,
    )
    training = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": steps,
            "dtype": "float64",
            "optimizer": {"kind": "adam", "learning_rate": 1e-2},
            "schedule": {"kind": "plateau", "patience": 100, "stop_at_floor": True},
        }
    )
    fit = training.fit([training] * starts, problem, Start(theta), Recorder())
    return [layout.unflatten(one) for one in fit.theta]


def _spread(layout: Layout, strengths: Mapping[str, float]) -> Tensor:
    pairs = zip(layout.names, layout.shapes, strict=True)
    return layout.flatten(
        {name: torch.full(shape, strengths.get(name, 0.0)).double() for name, shape in pairs}
    )


def sampled(values: dict[str, Tensor], inputs: Tensor, draws: int) -> Tensor:
    """Returns the logits (draws, n, k) of networks with drawn weights."""
    generator = torch.Generator().manual_seed(0)
    hidden = inputs.expand(draws, *inputs.shape)
    layers = [name.removesuffix("weight") for name in values if name.endswith("weight")]
    for layer in layers:
        weight, bias = (
            values[name]
            + functional.softplus(values[f"{name}_rho"]).sqrt()
            * torch.randn(draws, *values[name].shape, generator=generator, dtype=torch.float64)
            for name in (f"{layer}weight", f"{layer}bias")
        )
        hidden = hidden @ weight.transpose(1, 2) + bias.unsqueeze(1)
        hidden = hidden if layer == layers[-1] else torch.tanh(hidden)
    return hidden


def row(model: BayesianMLP, starts: int, steps: int, draws: int) -> list[str]:
    inputs = examples()[0].double()
    ratios, errors, same, largest = [], [], [], 0.0
    for values in trained(model, starts, steps):
        with torch.no_grad():
            mean, variance = model.network((4,), 3)(values, inputs).chunk(2, dim=1)
            logits = sampled(values, inputs, draws)
        ratios.append(variance / logits.var(dim=0))
        errors.append((mean - logits.mean(dim=0)) / logits.std(dim=0))
        chosen = torch.softmax(logits, dim=-1).mean(dim=0).argmax(dim=1)
        same.append((mean.argmax(dim=1) == chosen).double().mean())
        largest = max(largest, float(variance.max()))
    agreement = float(torch.stack(same).mean())
    return [_three(ratios), _three(errors), f"{100 * agreement:.1f} %", f"{largest:.3g}"]


def _three(parts: list[Tensor]) -> str:
    low, middle, high = torch.quantile(torch.cat(parts).flatten(), QUANTILES).tolist()
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--divergences", type=float, nargs="+", default=[1.0, 0.01])
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--draws", type=int, default=4000)
    arguments = parser.parse_args()
    print("| depth | divergence | variance | mean | same class | largest variance |")
    print("| --- | --- | --- | --- | --- | --- |")
    for depth in arguments.depths:
        for divergence in arguments.divergences:
            model = BayesianMLP(
                width=5, depth=depth, activation="tanh", noise=0.1, divergence=divergence
            )
            cells = row(model, arguments.starts, arguments.steps, arguments.draws)
            print("|", " | ".join([str(depth), f"{divergence:g}", *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
