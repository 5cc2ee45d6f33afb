"""One side in a process of its own: seconds and memory as JSON, scores as a file.

    python -m benchmarks.estimators.side --side curvlinops.cg --problem FILE --scores FILE

A side is `package.method`; the module of the package's name here holds its methods in `METHODS`.
Only `ours` imports our packages: the others run in environments that need not have them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from benchmarks.estimators.problem import Problem
from benchmarks.proc import peak_resident_mib, resident_mib

DISTRIBUTIONS = {"curvlinops": "curvlinops-for-pytorch", "ours": "fragility"}
"""Names under which packages are installed, where they are not their own."""


def timed(call: Callable[[], Tensor], calls: int) -> tuple[list[float], Tensor]:
    """Returns the seconds of some calls after one to warm up, and the last one's result."""
    call()
    seconds = []
    for _ in range(calls):
        started = perf_counter()
        scores = call()
        seconds.append(perf_counter() - started)
    return seconds, scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", required=True)
    parser.add_argument("--problem", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--calls", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    package, method = options.side.split(".")
    problem = Problem.load(options.problem)
    try:
        methods = import_module(f"benchmarks.estimators.{package}").METHODS
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))
        return
    call = methods[method](problem)
    before = resident_mib()
    seconds, scores = timed(call, options.calls)
    np.save(options.scores, scores.detach().double().numpy())
    found = {
        "seconds": seconds,
        "mib": peak_resident_mib(),
        "mib_before": before,
        "version": version(DISTRIBUTIONS.get(package, package)),
        "torch": torch.__version__,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
