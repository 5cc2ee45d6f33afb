"""LeNet's last layer as a study, from the command to the last number: MNIST and CIFAR-10.

`lenet-mnist.yaml` trains LeNet on 60,000 images for 3 epochs, scores all of them by exact influence
of the last layer, and retrains the last layer 40 times for 10 epochs; `lenet-cifar10.yaml` does the
same on a folder of CIFAR-10 images. Each runs as a user would run it, `fragility run` with an empty
store in a process of its own; wall time and peak memory are those that the run leaves in `runs`,
and the time on all cores beside them tells how busy the machine was otherwise. Prints them beside
the limits, 6 minutes and 3 GiB on 2 cores; exits with 1 if a run took more memory.

Reads the images from `--data DIR` or FRAGILITY_DATA (DIR/MNIST/raw, DIR/cifar10/train/CLASS).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import MIB, machine

STUDIES = ("lenet-mnist", "lenet-cifar10")
STAGES = ("train", "estimate", "retrain")
LIMIT_SECONDS = 6 * 60
LIMIT_MIB = 3 * 2**10


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a run and of its stages, seconds on all cores, and peak memory."""

    seconds: float
    stages: Mapping[str, float]
    busy: float
    mib: float


def measure(study: str, data: Path) -> Measured:
    """Returns what a run of a study takes, done with the installed command."""
    before = _busy_seconds()
    with TemporaryDirectory() as store:
        path = Path(__file__).parent / f"{study}.yaml"
        place = ("--store", store)
        events = _fragility("run", str(path), "--data", str(data), "--json", *place)
        busy = _busy_seconds() - before
        query = "SELECT seconds, peak_memory FROM runs"
        (run,) = json.loads(_fragility("query", query, "--format", "json", *place))
    return Measured(
        seconds=run["seconds"],
        stages=_stages(json.loads(line) for line in events.splitlines()),
        busy=busy,
        mib=run["peak_memory"] / MIB,
    )


def _fragility(*arguments: str) -> str:
    command = (str(Path(sys.executable).with_name("fragility")), *arguments)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _stages(events: Iterable[Mapping[str, Any]]) -> Mapping[str, float]:
    """Returns the seconds of all batches of a kind."""
    seconds = dict.fromkeys(STAGES, 0.0)
    for event in events:
        if event["event"] == "batch_finished" and event["kind"] in seconds:
            seconds[event["kind"]] += event["seconds"]
    return seconds


def _busy_seconds() -> float:
    """Returns the seconds that all processes started here have computed, on all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def markdown(found: Mapping[str, Measured]) -> str:
    """Returns a table, a line for each study."""
    header = ["study", "seconds", "limit", *STAGES, "on all cores", "peak MiB", "limit"]
    lines = [header, ["---"] * len(header)]
    for study, one in found.items():
        stages = [f"{one.stages[stage]:.0f}" for stage in STAGES]
        times = [f"{one.seconds:.0f}", f"{LIMIT_SECONDS}", *stages, f"{one.busy:.0f}"]
        lines.append([f"`{study}`", *times, f"{one.mib:,.0f}", f"{LIMIT_MIB:,}"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("FRAGILITY_DATA", "data"))
    parser.add_argument("--study", choices=STUDIES, action="append", help="all unless given")
    options = parser.parse_args()
    data = Path(options.data).absolute()
    print(machine())
    found = {study: measure(study, data) for study in options.study or STUDIES}
    print(markdown(found))
    above = [study for study, one in found.items() if one.mib > LIMIT_MIB]
    if above:
        sys.exit(f"above {LIMIT_MIB} MiB: {', '.join(above)}")
    print(f"\nevery run stayed under {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
