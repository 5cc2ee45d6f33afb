"""What the room may know of: nothing of studies, and no torch."""

from __future__ import annotations

import subprocess
import sys


def test_it_is_the_ground_floor() -> None:
    """Neither torch nor scipy.stats is loaded: pages that only read start fast."""
    code = (
        "import sys, fragility.statistics;"
        "loaded = [m for m in ('torch', 'scipy.stats', 'pandas') if m in sys.modules];"
        "rooms = [m for m in sys.modules if m.startswith('fragility.')"
        " and not m.startswith(('fragility.statistics', 'fragility.identity', 'fragility.method',"
        " 'fragility.errors', 'fragility.code'))];"
        "sys.exit(str(loaded + rooms) if loaded + rooms else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
