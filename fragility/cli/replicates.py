"""What `run` says of the number of replicates that a pilot asks for."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fragility.execution.pilot import Decision


def line(decision: Decision) -> str:
    """Returns the sentence on a decision."""
    head = f"replicates of {decision.procedure}: {decision.replicates}"
    if decision.reliability is None:
        return f"{head}; the pilot has no reliability to go by"
    one = f"one has reliability {decision.reliability:.2f} in arm {decision.arm}"
    goal = f"{decision.target:g} of their mean"
    return f"{head} ({one}; {goal} {'is reached' if decision.enough else 'takes more than `max`'})"


def show(decision: Decision) -> None:
    """Prints a decision on stderr."""
    print(line(decision), file=sys.stderr, flush=True)


def show_json(decision: Decision) -> None:
    """Prints a decision as one JSON object on stdout."""
    print(json.dumps({"event": "replicates_decided", **asdict(decision)}), flush=True)


def ignore(decision: Decision) -> None:
    """Prints nothing."""
