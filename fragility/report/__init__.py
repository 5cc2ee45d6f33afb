"""The report: named queries -> figures -> one self-contained HTML page; never imports torch.

What draws is imported with `render` only: the numbers of a report can be had without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fragility.report.page import render as render

__all__ = ["render"]


def __getattr__(name: str) -> Any:
    if name == "render":
        from fragility.report.page import render

        return render
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
