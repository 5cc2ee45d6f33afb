"""Colours by role: figures are drawn with stand-ins that become CSS variables in the page.

A drawn SVG therefore has no colour of its own: the page's light, dark and print styles colour the
same bytes. Estimators keep one colour through the whole page; the set is Okabe and Ito's, darkened
where it would be faint on paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TOKENS = (
    "paper",
    "ink",
    "soft",
    "rule",
    "grid",
    "band",
    *(f"c{i}" for i in range(1, 7)),
    *(f"s{i}" for i in range(1, 7)),
)
_STAND_IN = {token: f"#fe{i:02x}{i:02x}" for i, token in enumerate(TOKENS, start=1)}
TOKEN_OF = {colour: token for token, colour in _STAND_IN.items()}

PAPER, INK, SOFT, RULE, GRID, BAND = (_STAND_IN[token] for token in TOKENS[:6])
ESTIMATORS = TOKENS[6:12]
SERIES = TOKENS[12:18]
MARKERS = ("o", "s", "^", "D", "v", "P")


def stand_in(token: str) -> str:
    """Returns the colour matplotlib draws with for a token."""
    return _STAND_IN[token]


def assign(names: Iterable[str], tokens: tuple[str, ...] = ESTIMATORS) -> Mapping[str, str]:
    """Returns name -> token in alphabetical order; a seventh name starts the set again."""
    return {name: tokens[i % len(tokens)] for i, name in enumerate(sorted(set(names)))}
