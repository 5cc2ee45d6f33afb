"""The verdicts that end a run are those of the report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fragility.cli import verdicts as ending
from fragility.cli.verdicts import Told, render
from fragility.report.evidence import gather
from fragility.report.verdict import in_brief, judge
from fragility.store import queries
from tests.report import truths, world
from tests.report.truths import Truth, draws, measured, replicated

SCORES, OTHER = draws(1), draws(2)
NEAR = SCORES + 0.1 * OTHER


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> world.World:
    """A store of two estimators, one of which computes its own target."""
    filled = measured(
        {"exact": SCORES, "wrong": OTHER},
        {
            "linear": Truth("linear_response", NEAR[:, None]),
            "seeds": Truth("cold over seeds", replicated(NEAR, 6, 0.3)),
        },
    )
    monkeypatch.setattr(queries, "connect", lambda root, run: filled.connection())
    return filled


def test_they_are_those_of_the_report(stored: world.World) -> None:
    good, bad = ending.verdicts(Path(), world.RUN)
    assert (good.arm, good.estimator, good.verdict) == ("mlp", "exact", "faithful")
    assert (bad.estimator, bad.verdict) == ("wrong", "estimator fails")
    context = truths.context(stored)
    for told in (good, bad):
        evidence = gather(context, "mlp", told.estimator)
        words = in_brief(judge(evidence), evidence)
        assert told.words == words.translate(ending.ASCII)
        assert told.words.isascii()


def test_a_line_holds_the_numbers_that_decide(stored: world.World) -> None:
    first, second = render(ending.verdicts(Path(), world.RUN)).splitlines()
    means = replicated(NEAR, 6, 0.3).mean(axis=1)[0]
    value = np.mean([np.corrcoef(s, e)[0, 1] for s, e in zip(SCORES[0], means, strict=True)])
    assert first.startswith(f"  verdict  mlp  exact  faithful ({value:.3f} [0.9")
    assert ", corrected for noise 0.9" in first
    assert first.endswith(", with cold retraining over seeds)")
    assert second.startswith("  verdict  mlp  wrong  estimator fails (")
    assert second.endswith("with linear response)")


def test_what_cannot_be_told_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = measured(SCORES, {"cold": Truth("cold", OTHER[:, None])})
    monkeypatch.setattr(queries, "connect", lambda root, run: filled.connection())
    (told,) = ending.verdicts(Path(), world.RUN)
    assert told.words == ("cannot tell: whether the score computes its own target is not known")


def test_noise_that_hides_everything_says_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = Truth("cold over seeds", replicated(NEAR, 2, 8.0))
    monkeypatch.setattr(
        queries, "connect", lambda root, run: measured(SCORES, {"seeds": noisy}).connection()
    )
    (told,) = ending.verdicts(Path(), world.RUN)
    assert told.words.startswith("not measurable with this budget (reliability 0.")
    assert told.words.endswith(" of 2 replicates)")


def test_many_are_counted() -> None:
    found = [Told(f"arm {k}", "exact", "faithful" if k else "cannot tell", "") for k in range(9)]
    assert render(found) == "  verdicts on 9 arms: 8 faithful, 1 cannot tell"
    assert len(render(found[:8]).splitlines()) == 8
    assert render([]) == ""


def test_nothing_is_drawn_for_them() -> None:
    code = (
        "import sys, fragility.report.evidence, fragility.cli.verdicts, fragility.report.context;"
        " sys.exit(any(name in sys.modules for name in ('matplotlib', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
