"""What was measured, as one Markdown table a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

MARGIN = 0.005
"""Agreements that differ by less count as equal: EK-FAC with sampled labels varies by that much."""

COMPARED = ("exact", "cg", "ekfac")


@dataclass(frozen=True)
class Row:
    """One side in all rounds: seconds of each call, largest memory, agreement of its scores."""

    side: str
    seconds: tuple[float, ...]
    mib: float
    mib_before: float
    agreement: float

    @property
    def typical(self) -> float:
        return median(self.seconds)

    @property
    def ours(self) -> bool:
        return self.side.startswith("ours.")

    @property
    def method(self) -> str:
        return self.side.split(".")[1].split("_")[0]


def markdown(rows: Sequence[Row], absent: Iterable[tuple[str, str]]) -> str:
    """Returns the table; sides that gave nothing are in it with the reason."""
    lines = [
        "| side | seconds | peak MiB | above imports and data | agreement "
        "| fastest peer as good: same method | any method |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ratios = ["", ""]
        if row.ours and row.method in COMPARED:
            same = [other for other in rows if other.method == row.method]
            ratios = [fastest(row, same), fastest(row, rows)]
        cells = [
            f"`{row.side}`",
            f"{row.typical:.3f}",
            f"{row.mib:.0f}",
            f"{row.mib - row.mib_before:.0f}",
            f"{row.agreement:.3f}",
            *ratios,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| `{side}` | {reason} | | | | | |" for side, reason in absent]
    return "\n".join(lines)


def fastest(own: Row, rows: Iterable[Row]) -> str:
    """Returns the fastest peer whose scores agree at least as well, and its time over ours."""
    peers = [row for row in rows if not row.ours and row.agreement >= own.agreement - MARGIN]
    if not peers:
        return "none"
    best = min(peers, key=lambda row: row.typical)
    return f"{best.typical / own.typical:.1f} x (`{best.side}`)"
