"""Influence estimators beside other packages on digits: seconds, memory, agreement.

1,500 training and 50 test points; softmax regression and an MLP 64-32-10 of tanh, trained in
float64 with L2 1e-3 to a gradient norm of 1e-8. Scores are grad f_t^T (H + 0.01 I)^-1 grad l_i with
the Hessian of the mean loss, the penalty left out; a side may scale them. Agreement is the mean
over test points of Spearman's correlation with that, dense and in float64.

Every side runs in a process of its own, so that its memory is its own, on the same threads: one
call to warm up, then some that are timed, from the trained model to all scores. Sides alternate
over the rounds; seconds are medians of all calls, memory is the largest. Packages are called as
their documentation does, in float32. `--python NAME=PATH` names the interpreter of an environment
that has a package; one that is nowhere is listed as not installed.

    python -m benchmarks.estimators --python pydvl=/path/to/python
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.estimators.problem import HIDDEN
from benchmarks.estimators.reference import agreement, dense_scores
from benchmarks.estimators.table import Row, markdown
from benchmarks.estimators.training import trained
from benchmarks.measure import machine

ROOT = Path(__file__).parents[2]

SIDES = (
    "ours.exact_float64",
    "ours.exact_float32",
    "dattri.exact",
    "captum.exact",
    "curvlinops.exact",
    "pydvl.exact",
    "ours.cg_float64",
    "ours.cg_float32",
    "dattri.cg",
    "curvlinops.cg",
    "pydvl.cg",
    "ours.ekfac_float64",
    "ours.ekfac_float32",
    "dattri.ekfac",
    "kronfluence.ekfac",
    "curvlinops.ekfac",
    "pydvl.ekfac",
    "ours.kfac_float32",
    "ours.lissa_float32",
    "ours.arnoldi_float32",
    "ours.nystrom_float32",
)


class Sides:
    """Runs the sides of one model and keeps what they found."""

    def __init__(self, folder: Path, model: str, options: argparse.Namespace) -> None:
        self.problem, self.scores = folder / "problem.npz", folder / "scores.npy"
        self.options = options
        self.pythons = dict(options.python)
        problem = trained(model)
        problem.save(self.problem)
        self.reference = dense_scores(problem)
        self.found: dict[str, list[dict[str, float]]] = {}
        self.absent: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def run(self, side: str) -> None:
        """Runs a side once more, unless it has failed before."""
        if side in self.absent:
            return
        package = side.split(".")[0]
        arguments = {
            "--side": side,
            "--problem": self.problem,
            "--scores": self.scores,
            "--threads": self.options.threads,
            "--calls": self.options.calls,
        }
        done = subprocess.run(
            [
                self.pythons.get(package, sys.executable),
                *("-W", "ignore", "-m", "benchmarks.estimators.side"),
                *(str(word) for pair in arguments.items() for word in pair),
            ],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(self.options.threads)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1][:100]
            self.absent[side] = f"failed with {done.returncode}: {last.replace('|', '/')}"
            return
        found = json.loads(done.stdout.splitlines()[-1])
        if "missing" in found:
            self.absent[side] = f"{found['missing']} is not installed"
            return
        scores = torch.from_numpy(np.load(self.scores))
        found["agreement"] = agreement(scores, self.reference)
        self.found.setdefault(side, []).append(found)
        self.versions[package] = f"{package} {found['version']} on torch {found['torch']}"

    def rows(self) -> list[Row]:
        return [
            Row(
                side,
                tuple(second for run in runs for second in run["seconds"]),
                max(run["mib"] for run in runs),
                max(run["mib_before"] for run in runs),
                runs[-1]["agreement"],
            )
            for side, runs in self.found.items()
        ]


def interpreter(text: str) -> tuple[str, str]:
    """Returns a package and the interpreter that has it."""
    name, separator, path = text.partition("=")
    known = {side.split(".")[0] for side in SIDES}
    if not separator or name not in known:
        raise argparse.ArgumentTypeError(
            f"not NAME=PATH with NAME one of {', '.join(sorted(known))}"
        )
    found = shutil.which(path)
    if found is None:
        raise argparse.ArgumentTypeError(f"there is no program {path}")
    # Not resolved: what an environment's interpreter finds follows from its own place.
    return name, str(Path(found).absolute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=interpreter, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    for model in HIDDEN:
        with TemporaryDirectory() as folder:
            sides = Sides(Path(folder), model, options)
            for turn in range(options.rounds):
                for side in SIDES:
                    print(f"{model}, round {turn + 1}: {side}", file=sys.stderr, flush=True)
                    sides.run(side)
        print(f"\n{model}\n\n{markdown(sides.rows(), sides.absent.items())}\n")
    print("; ".join(sides.versions.values()))


if __name__ == "__main__":
    main()
