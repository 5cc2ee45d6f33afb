"""What the benchmarks share: alternation, medians, memory, and the machine's name."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from fragility.plan.fusion import STACK_BYTES

MIB = 2**20


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


class MemoryLimit:
    """The stated limit: the size of the process before a stack is built, and what a stack may take.

    Made before the stack is built, and checked before anything else takes memory.
    """

    def __init__(self) -> None:
        self.before = resident()

    def check(self) -> None:
        """Prints the limit and the largest size so far; exits with 1 if that is above."""
        limit, peak = self.before + STACK_BYTES, largest_resident()
        kept = peak <= limit
        parts = f"{STACK_BYTES / MIB:.0f} a stack, {self.before / MIB:.0f} before it"
        print(
            f"memory: peak {peak / MIB:.0f} MiB, {'under' if kept else 'ABOVE'} the limit of "
            f"{limit / MIB:.0f} MiB ({parts})"
        )
        if not kept:
            sys.exit(1)


def largest_resident() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident() -> int:
    """Resident size of this process in bytes; the largest so far where no other is told."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return largest_resident()
    return int(pages.read_text().split()[1]) * resource.getpagesize()
