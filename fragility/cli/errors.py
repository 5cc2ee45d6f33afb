"""How an error looks on the terminal; the only place that decides exit codes of failures."""

from __future__ import annotations

from fragility.errors import FragilityError, StudyError
from fragility.study import rendering

BUG = 70
"""As EX_SOFTWARE of sysexits.h; 1 is for tasks that failed in a run that came to its end."""
USAGE = 2


def render(error: Exception) -> tuple[str, int]:
    """Returns what stderr shows for an error, and the exit code; never a traceback."""
    if isinstance(error, StudyError):
        return rendering.render(error), error.exit_code
    if isinstance(error, FragilityError):
        hint = "" if error.hint is None else f"\n{error.hint}"
        return f"{error.message}{hint}", error.exit_code
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror.lower()}.", USAGE
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    advice = "Run the same command with --debug for the traceback."
    return f"This is a bug in fragility: {summary}. {advice}", BUG
