"""The lines that end a run: the verdict on each arm, by the report's own rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fragility.store import queries

SPOKEN = 8
"""Up to so many arms have a line each; of more, verdicts are counted."""

ASCII = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " "})


@dataclass(frozen=True)
class Told:
    """The verdict on one arm's score: its name, and a line with the numbers that decide it."""

    arm: str
    estimator: str
    verdict: str
    words: str


def verdicts(root: Path, run_id: str) -> list[Told]:
    """Returns the verdict on every arm and estimator of a run, as its report gives them."""
    from fragility.report.context import Context
    from fragility.report.evidence import gather, judged
    from fragility.report.source import Source
    from fragility.report.verdict import in_brief, judge

    found = []
    with queries.connect(root, run_id) as connection:
        context = Context(Source(connection, run_id))
        for arm, estimator in judged(context):
            evidence = gather(context, arm, estimator)
            verdict = judge(evidence)
            words = in_brief(verdict, evidence).translate(ASCII)
            found.append(Told(context.arm_label(arm), estimator, verdict.name, words))
    return found


def render(found: Sequence[Told]) -> str:
    """Returns one line an arm, or one that counts them; empty when nothing is judged."""
    if not found:
        return ""
    if len(found) > SPOKEN:
        counts = Counter(told.verdict for told in found)
        words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        return f"  verdicts on {len(found)} arms: {words}"
    arm, estimator = (
        max(len(getattr(told, name)) for told in found) for name in ("arm", "estimator")
    )
    return "\n".join(
        f"  verdict  {told.arm:{arm}}  {told.estimator:{estimator}}  {told.words}" for told in found
    )
