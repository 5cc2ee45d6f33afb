"""The report: named queries -> figures -> one self-contained HTML page; never imports torch."""

from fragility.report.page import render as render

__all__ = ["render"]
