"""A study's problems as a terminal shows them; loads no methods."""

from __future__ import annotations

from unicodedata import category, east_asian_width

from fragility.errors import Problem, StudyError

_WIDEST = 100


def render(error: StudyError) -> str:
    """Returns every problem with its line and a caret below its place, and how many there are."""
    lines = error.text.splitlines()
    shown = [_with_source(problem, error.file, lines) for problem in error.problems]
    count = len(error.problems)
    shown.append(f"{count} problem{'' if count == 1 else 's'}. Nothing was run.")
    return "\n".join(shown)


def _with_source(problem: Problem, file: str, lines: list[str]) -> str:
    if problem.path.startswith("--set "):
        return f"{problem.path}: {problem.message}"
    if not 0 < problem.line <= len(lines):
        return problem.located(file)
    line, column = _window(lines[problem.line - 1], max(problem.column - 1, 0))
    number = f"{problem.line:5}"
    marked = line[column : column + max(problem.width, 1)] or " "
    indent = " " * _columns(line[:column])
    return "\n".join(
        [
            problem.located(file),
            f"{number} | {line}".rstrip(),
            f"{' ' * len(number)} | {indent}{'^' * _columns(marked)}",
        ]
    )


def _window(line: str, column: int) -> tuple[str, int]:
    """Returns a printable stretch of a line around `column`, and the column in it."""
    line = "".join(" " if category(c)[0] in "CZ" else c for c in line)
    if len(line) <= _WIDEST:
        return line, column
    start = max(0, min(column - _WIDEST // 2, len(line) - _WIDEST))
    left, right = "…" if start else "", "…" if start + _WIDEST < len(line) else ""
    return f"{left}{line[start : start + _WIDEST]}{right}", column - start + len(left)


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
