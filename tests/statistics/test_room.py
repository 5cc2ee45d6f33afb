"""What the room may know of: nothing of studies, and no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fragility.statistics


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


def test_every_public_name_is_documented() -> None:
    for name in fragility.statistics.__all__:
        assert getattr(fragility.statistics, name).__doc__ or name.isupper()


def test_every_file_is_tested() -> None:
    files = {path.stem for path in Path(fragility.statistics.__file__).parent.glob("[a-z]*.py")}
    assert "estimate" in files
