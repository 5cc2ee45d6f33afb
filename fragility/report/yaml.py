"""A study's text in three colours: keys, strings, comments; everything else as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<c>(?:(?<=\s)|^)\#[^\n]*)
      | (?P<s>"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*')
      | (?P<k>(?:(?<=[\s{,\[-])|^)[A-Za-z_][\w.*-]*(?=:(?:\s|$)))""",
    re.VERBOSE | re.MULTILINE,
)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yields (class, text) with class k (key), s (string), c (comment) or nothing."""
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            yield "", text[end : match.start()]
        yield match.lastgroup or "", match.group()
        end = match.end()
    if end < len(text):
        yield "", text[end:]
