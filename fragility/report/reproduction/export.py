"""From stores to recorded values: the newest finished run of every study that is meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fragility.errors import UsageError
from fragility.report.context import natural
from fragility.report.published import named_reference
from fragility.report.reproduction.page import REFERENCE
from fragility.report.reproduction.publications import publication
from fragility.report.source import Row
from fragility.store import queries, recorded, recorded_examples
from fragility.store.recorded import CORRELATIONS, Recording

ENDED = ("done", "failed")

SHOWN = {"iris-depth": (0, -1), "mnist-fc": (-1,)}
"""Studies of which single runs are drawn (figures 4 and 5), and at which places among their arms:
the smallest and the largest model on Iris, the largest on MNIST, as the paper's."""


@dataclass(frozen=True)
class _Found:
    """A run of a store."""

    root: Path
    run: Row

    @property
    def rank(self) -> tuple[bool, datetime, str]:
        """What the run of a study is chosen by: that it came to its end, then when it began."""
        return self.run["status"] in ENDED, self.run["started"], self.run["run_id"]


def export(roots: Sequence[Path], folder: Path, *, keep: bool = False) -> list[Path]:
    """Writes the values of runs of some stores into a folder, one file a study; returns the files.

    Meant are the studies shipped with this package after a publication, and those that name the
    reference of the page. Of each, whichever store it is in, the run that began last of those that
    came to their end; an interrupted one where there is no other, one that is going on never. What
    the folder has of other studies is removed, or stays with `keep`; so then does what it has of a
    study that no run came to the end of.

    Raises:
        UsageError: there is no such store, none of its studies is meant, or all stay.
    """
    chosen: dict[str, _Found] = {}
    for one in (one for root in roots for one in _runs(root) if _meant(one.run)):
        study = str(one.run["study"])
        if study not in chosen or one.rank > chosen[study].rank:
            chosen[study] = one
    listed = ", ".join(f"`{root}`" for root in roots)
    if not chosen:
        raise UsageError(
            f"No run in {listed} is of a study shipped after a publication, or names"
            f" `{REFERENCE}` as its reference.",
            "Start with make reproduce.",
        )
    kept = recorded.known(folder) if keep else []
    chosen = {k: one for k, one in chosen.items() if one.rank[0] or k not in kept}
    if not chosen:
        raise UsageError(
            f"No run in {listed} came to its end, and `{folder}` has runs of all their studies.",
            "Run one of the studies to its end.",
        )
    paths = recorded.record([_recording(one) for one in chosen.values()], folder, keep=keep)
    shown = {
        (one.root, str(one.run["run_id"])): _arms(one, SHOWN[study])
        for study, one in chosen.items()
        if study in SHOWN
    }
    return paths + recorded_examples.record(shown, folder, renewed=list(chosen) if keep else None)


def _arms(one: _Found, places: Sequence[int]) -> list[str]:
    found = queries.query(one.root, "SELECT DISTINCT arm FROM cells", str(one.run["run_id"])).rows
    arms = sorted((str(arm) for (arm,) in found), key=natural)
    # A run that was cut short may have none.
    return list(dict.fromkeys(arms[place] for place in places)) if arms else []


def _runs(root: Path) -> Iterable[_Found]:
    found = queries.query(root, "SELECT * FROM runs")
    for run in (dict(zip(found.columns, row, strict=True)) for row in found.rows):
        if run["status"] != "running":
            yield _Found(root, run)


def _meant(run: Row) -> bool:
    named = named_reference(run)
    return publication(run) is not None or (named is not None and named.name == REFERENCE)


def _recording(one: _Found) -> Recording:
    # Beside published correlations stands nothing else; of other papers the slope is asked too.
    metrics = (
        CORRELATIONS if publication(one.run) in (None, REFERENCE) else (*CORRELATIONS, "slope")
    )
    return Recording(one.root, str(one.run["run_id"]), str(one.run["study"]), metrics)
