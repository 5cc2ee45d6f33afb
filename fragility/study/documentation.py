"""The estimators as a page: its table is what the classes say of themselves."""

from __future__ import annotations

from fragility.study.describe import MethodDoc, describe_room

BEGIN = "<!-- From the classes; `make docs` writes what follows. -->"
END = "<!-- So far from the classes. -->"


def refreshed(page: str) -> str:
    """Returns a page with the table of all estimators between its two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{estimator_table()}\n{END}{after}"


def estimator_table() -> str:
    """Returns a row for each estimator as Markdown."""
    head = ["kind", "what it computes", "valid when", "cost", "reference"]
    rows = [head, ["---"] * len(head), *map(_cells, describe_room("estimators"))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _cells(method: MethodDoc) -> list[str]:
    texts = (method.summary, method.valid_when, method.cost, method.reference)
    return [f"`{method.kind}`", *(text.replace("|", "\\|") for text in texts)]
