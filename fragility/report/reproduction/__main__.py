"""`python -m fragility.report.reproduction`: record runs of stores, write the page from them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fragility.errors import FragilityError
from fragility.report.reproduction.export import export
from fragility.report.reproduction.page import write


def main() -> int:
    """Does what the command line asks, and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fragility.report.reproduction")
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="record the runs of stores, then write the page")
    exporting.add_argument(
        "--store", type=Path, required=True, action="append", dest="stores",
        help="a store of runs; may be given several times",
    )  # fmt: skip
    exporting.add_argument(
        "--keep", action="store_true", help="let studies that no store has stay as they are",
    )  # fmt: skip
    writing = commands.add_parser("page", help="write the page anew from what is recorded")
    for command in (exporting, writing):
        command.add_argument("folder", type=Path, help="recorded values, such as docs/reproduction")
    asked = parser.parse_args()
    try:
        paths = []
        if asked.command == "export":
            paths = export(asked.stores, asked.folder, keep=asked.keep)
        paths.append(write(asked.folder))
    except FragilityError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
