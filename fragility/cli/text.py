"""Numbers and tables as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime


def duration(seconds: float) -> str:
    """Returns a time span in its largest units: `0.4 s`, `29 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(count: int) -> str:
    """Returns a number of bytes in decimal units: `0.9 GB`, `12 MB`."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale / 2:
            value = count / scale
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"
    return f"{count} B"


def plural(count: int, word: str) -> str:
    """Returns `1 cell`, `2 cells`, `3 batches`, `4 studies`."""
    if count == 1:
        return f"1 {word}"
    if word.endswith("y"):
        return f"{count:,} {word[:-1]}ies"
    return f"{count:,} {word}{'es' if word.endswith('ch') else 's'}"


def cell(value: object) -> str:
    """Returns one value of a result as a word: `null` for None, short floats, plain timestamps."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "") -> str:
    """Returns aligned columns, numbers to the right; a value's own line breaks become spaces."""
    values = [list(row) for row in rows]
    words = [[" ".join(cell(value).split()) for value in row] for row in values]
    lines: list[list[str]] = [list(header), *words]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [bool(values) and all(_is_number(row[i]) for row in values) for i in range(len(header))]
    return "\n".join(
        (
            indent
            + "  ".join(
                word.rjust(width) if flush else word.ljust(width)
                for word, width, flush in zip(line, widths, right, strict=True)
            )
        ).rstrip()
        for line in lines
    )


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value == "-" or value.replace(",", "").isdigit()
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
