"""What the benchmarks share: alternation, medians, and the machine's name."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch


@dataclass(frozen=True)
class Comparison:
    """Median seconds of two sides that were timed in alternation."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def alternate(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Comparison:
    """Times both sides `rounds` times, one after the other, after one warm-up of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for side in (ours, theirs):
        side()
    for _ in range(rounds):
        for side, kept in zip((ours, theirs), times, strict=True):
            started = perf_counter()
            side()
            kept.append(perf_counter() - started)
    return Comparison(median(times[0]), median(times[1]))


def machine() -> str:
    """The machine by cores and model."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    threads = torch.get_num_threads()
    return f"{os.cpu_count()} cores, {model}, {threads} threads, torch {torch.__version__}"


def peak_memory() -> str:
    """Largest resident size of this process so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"
