"""The tables as a page: what queries can be written against, one sentence a table and a column."""

from __future__ import annotations

from fragility.store.queries import PUBLIC
from fragility.store.schema import TABLES, Table


def markdown() -> str:
    """Returns the documentation of every view and table as Markdown."""
    names = {table.name for table in PUBLIC}
    behind = [table for table in TABLES if table.name not in names]
    return "\n".join(
        [
            "# Tables\n",
            "Queries and reports read these. They show the newest run of each study, or the run",
            "chosen with `--run`; in a notebook, `SET VARIABLE run = '<run_id>'` chooses it.\n",
            *(_section(table) for table in PUBLIC),
            "# Behind them\n",
            "Facts by task, whatever run they were computed for. They may change.\n",
            *(_section(table) for table in behind),
        ]
    )


def _section(table: Table) -> str:
    rows = (f"| `{column.name}` | {column.type} | {column.doc} |" for column in table.columns)
    head = f"## {table.name}\n\n{table.doc}\n\n| column | type | meaning |\n| --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"
