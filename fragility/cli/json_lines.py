"""A run as one JSON object a line on stdout: its events, the summary last."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict

from fragility.cli.verdicts import Told
from fragility.execution.events import Event, RunFinished, RunSummary


def line(event: Event) -> str:
    """Returns an event as one line of JSON; `event` names it: `plan_ready`, `batch_finished` ..."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    return json.dumps({"event": name, **asdict(event)}, default=dict)


def show(event: Event) -> None:
    """Prints an event at once, so that a pipe sees it while the run goes on.

    The end is left to `finish`: what it says is known only after the store is closed.
    """
    if not isinstance(event, RunFinished):
        _print(line(event))


def finish(summary: RunSummary, told: Sequence[Told]) -> None:
    """Prints the end of a run, its summary with the verdicts."""
    end = json.loads(line(RunFinished(summary)))
    end["summary"]["verdicts"] = [asdict(one) for one in told]
    _print(json.dumps(end))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
