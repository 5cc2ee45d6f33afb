"""A run as one JSON object a line on stdout: its events, the summary last."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict

from fragility.execution.events import Event


def line(event: Event) -> str:
    """Returns an event as one line of JSON; `event` names it: `plan_ready`, `batch_finished` ..."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    return json.dumps({"event": name, **asdict(event)}, default=dict)


def show(event: Event) -> None:
    """Prints an event at once, so that a pipe sees it while the run goes on."""
    sys.stdout.write(line(event) + "\n")
    sys.stdout.flush()
