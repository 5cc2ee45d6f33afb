"""Influence functions for LeNet on MNIST, 60,000 images and 61,706 parameters, within 4 GiB.

The network is trained for two epochs first. Then EK-FAC and conjugate gradients score all training
images for 10 test images, by the last layer and by all layers, in float32. Conjugate gradients over
all layers are asked for less: 5 test images, a relative residual of 1e-2 within 30 rounds, and the
Gauss-Newton matrix, because the Hessian of so short a training has eigenvalues far below -0.01.
Each setting runs in a process of its own. Prints seconds, that process's peak resident memory with
torch and the images in it, and the largest relative residual; exits with 1 if a process took more
than 4 GiB.

Reads MNIST from `--data DIR` or FRAGILITY_DATA (DIR/MNIST/raw). Linux only: memory is from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor
from torchvision.datasets import MNIST

from benchmarks.frozen import lenet
from benchmarks.measure import machine
from benchmarks.proc import peak_resident_mib, resident_mib
from fragility.estimators.base import Estimator
from fragility.estimators.cg import CG
from fragility.estimators.ekfac import EKFAC
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.network import Network
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.training import Recorder, Start
from fragility.training.minibatch import Minibatch

DECAY, DAMPING = 0.001, 0.01
BATCH, EPOCHS, SEED = 128, 2, 0
LIMIT_MIB = 4 * 2**10


@dataclass(frozen=True)
class Setting:
    """An estimator and the number of test images it is asked for."""

    estimator: Estimator
    tests: int = 10


@dataclass(frozen=True)
class Measured:
    """What a setting took; the largest relative residual, and rounds, where systems were solved."""

    seconds: float
    mib: float
    mib_before: float
    residual: float | None
    rounds: float | None


SETTINGS = {
    "ekfac, last layer": Setting(EKFAC(parameters="last_layer", dtype="float32")),
    "ekfac, all layers": Setting(EKFAC(dtype="float32")),
    "cg, last layer": Setting(
        CG(parameters="last_layer", damping=DAMPING, tolerance=1e-3, dtype="float32")
    ),
    "cg, all layers": Setting(
        CG(
            curvature="gauss_newton",
            damping=DAMPING,
            tolerance=1e-2,
            rounds=30,
            dtype="float32",
        ),
        tests=5,
    ),
}


def images(root: str, *, train: bool) -> tuple[Tensor, Tensor]:
    """Returns standardized images (n, 1, 28, 28) and their classes."""
    mnist = MNIST(root, train=train, download=False)
    return ((mnist.data.float() / 255 - 0.1307) / 0.3081).unsqueeze(1), mnist.targets


def network() -> Network:
    torch.manual_seed(SEED)
    return Network(lenet().eval())


def train(root: str) -> Tensor:
    """Returns the trained parameters (P,)."""
    inputs, targets = images(root, train=True)
    untrained = network()
    layout = untrained.layout
    n = len(inputs)
    problem = StackProblem(
        network=untrained,
        loss=CROSS_ENTROPY,
        layout=layout,
        frozen={},
        inputs=inputs,
        targets=targets,
        weights=torch.full((1, n), 1 / n),
        decay=torch.full((1, 1), DECAY),
    )
    training = Minibatch.model_validate(
        {
            "kind": "minibatch",
            "batch_size": BATCH,
            "epochs": EPOCHS,
            "dtype": "float32",
            "optimizer": {"kind": "adam"},
        }
    )
    parameters = {name: p.detach() for name, p in untrained.module.named_parameters()}
    start = Start(layout.flatten(parameters).unsqueeze(0), orders=(SEED,))
    return training.fit([training], problem, start, Recorder()).theta[0]


def trained_model(root: str, theta: Tensor, tests: int) -> TrainedModel:
    trained = network()
    inputs, targets = images(root, train=True)
    test_inputs, test_targets = images(root, train=False)
    return TrainedModel(
        network=trained,
        loss=CROSS_ENTROPY,
        test_loss=CROSS_ENTROPY,
        decay=dict.fromkeys(trained.layout.names, DECAY),
        parameters=trained.layout.unflatten(theta),
        inputs=inputs,
        targets=targets,
        test_inputs=test_inputs[:tests],
        test_targets=test_targets[:tests],
    )


def measure(root: str, theta: Tensor, setting: Setting) -> Measured:
    """Returns what one setting takes in this process."""
    model = trained_model(root, theta, setting.tests)
    before = resident_mib()
    started = perf_counter()
    estimate = setting.estimator.estimate(model, torch.arange(setting.tests))
    seconds = perf_counter() - started
    assert bool(torch.isfinite(estimate.scores).all())
    residuals = estimate.by_test_point.get("relative_residual")
    return Measured(
        seconds=seconds,
        mib=peak_resident_mib(),
        mib_before=before,
        residual=None if residuals is None else float(residuals.max()),
        rounds=estimate.diagnostics.get("cg_rounds"),
    )


def in_own_process(name: str, parameters: Path, options: argparse.Namespace) -> Measured:
    arguments = {
        "--setting": name,
        "--parameters": parameters,
        "--data": Path(options.data).absolute(),
        "--threads": options.threads,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.influence_mnist"),
            *(str(word) for pair in arguments.items() for word in pair),
        ],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def markdown(found: Mapping[str, Measured]) -> str:
    """Returns a table, a line for each setting."""
    lines = [
        "| setting | test images | seconds | peak MiB | above torch and images "
        "| residual | rounds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in found.items():
        cells = [
            name,
            f"{SETTINGS[name].tests}",
            f"{one.seconds:.1f}",
            f"{one.mib:.0f}",
            f"{one.mib - one.mib_before:.0f}",
            "-" if one.residual is None else f"{one.residual:.1e}",
            "-" if one.rounds is None else f"{one.rounds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("FRAGILITY_DATA", "data"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--setting", choices=SETTINGS, help="measure one, in this process")
    parser.add_argument("--parameters", type=Path, help="the trained parameters, for --setting")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.setting:
        theta = torch.load(options.parameters)
        print(json.dumps(asdict(measure(options.data, theta, SETTINGS[options.setting]))))
        return
    print(machine())
    with TemporaryDirectory() as folder:
        parameters = Path(folder) / "parameters.pt"
        started = perf_counter()
        torch.save(train(options.data), parameters)
        print(f"trained for {EPOCHS} epochs in {perf_counter() - started:.0f} s\n")
        found = {name: in_own_process(name, parameters, options) for name in SETTINGS}
    print(markdown(found))
    above = [name for name, one in found.items() if one.mib > LIMIT_MIB]
    if above:
        sys.exit(f"above {LIMIT_MIB} MiB: {', '.join(above)}")
    print(f"\nevery process stayed under {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
