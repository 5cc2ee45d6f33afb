"""Pairs and trajectories of a few settings, kept beside the values of runs that `recorded` keeps.

Of all scores and effects, those of the first repeat of named arms: what figures of single runs are
drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from fragility.store import queries
from fragility.store.report_queries import Query, text

PAIRS_FILE, TRAJECTORIES_FILE = "pairs.parquet", "trajectories.parquet"
FILES = (PAIRS_FILE, TRAJECTORIES_FILE)
REPEAT = 0

Arms = Mapping[tuple[Path, str], Sequence[str]]
"""By store and run the arms that are kept."""


def pairs(arms: Sequence[str]) -> Query:
    """Scores beside effects of every estimator and the procedure of the same name."""
    return Query(
        "recorded_pairs",
        "Of some arms' first repeat, score and mean effect of every removal, of estimators and"
        " procedures of the same name; a placebo has no training point and no score.",
        f"""\
WITH named AS (SELECT DISTINCT estimator, procedure FROM arms WHERE estimator = procedure),
measured AS (
  SELECT c.study, c.arm, c.repeat, e.cell_id, e.procedure, e.test_point, e.train_point,
         avg(e.effect) AS effect, min(e.score_scale) AS scale
  FROM effects e JOIN cells c USING (cell_id)
  WHERE c.repeat = {REPEAT} AND c.arm IN ({_listed(arms)}) AND e.removal <> 'group'
  GROUP BY ALL)
SELECT m.study, m.arm, m.repeat, n.estimator, m.procedure, m.test_point, m.train_point,
       s.score * m.scale AS score, m.effect
FROM measured m JOIN named n USING (procedure)
LEFT JOIN scores s ON s.cell_id = m.cell_id AND s.estimator = n.estimator
  AND s.test_point = m.test_point AND s.train_point = m.train_point
ORDER BY ALL""",
    )


def trajectories(arms: Sequence[str]) -> Query:
    """The test points' loss along the recorded retrainings."""
    return Query(
        "recorded_trajectories",
        "Of some arms' first repeat, the loss of every test point along each recorded retraining;"
        " `removed` is null for the placebo.",
        f"""\
SELECT c.study, c.arm, c.repeat, t.procedure, t.removed, t.replicate, t.test_point, t.step, t.value
FROM trajectories t JOIN cells c USING (cell_id)
WHERE c.repeat = {REPEAT} AND c.arm IN ({_listed(arms)})
ORDER BY ALL""",
    )


def record(arms: Arms, folder: Path, *, renewed: Sequence[str] | None = None) -> list[Path]:
    """Writes both files of the chosen runs into a folder, none where no run is chosen.

    Where it is said which studies are `renewed`, rows of others stay as they are.
    """
    paths = []
    for name, query in zip(FILES, (pairs, trajectories), strict=True):
        parts = [] if renewed is None else others(folder / name, renewed)
        for place, ((root, run_id), labels) in enumerate(arms.items()):
            parts.append(folder / f".part-{place}.parquet")
            queries.export(root, query(labels).sql, parts[-1], run=run_id)
        gather(parts, folder / name, "ALL")
        paths += [folder / name] if parts else []
    return paths


def others(path: Path, studies: Sequence[str]) -> list[Path]:
    """Writes the rows of a file that are of none of some studies beside it, if there is the file.

    Returns the file written, for `gather`, or nothing.
    """
    if not path.is_file():
        return []
    kept = path.with_name(f".kept-{path.name}")
    rows = f"SELECT * FROM read_parquet({text(str(path))}) WHERE study NOT IN ({_listed(studies)})"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO {text(str(kept))} (FORMAT parquet)")
    return [kept]


def gather(parts: Sequence[Path], path: Path, order: str) -> None:
    """Writes the rows of several files as one and removes them; of none, the file goes."""
    if not parts:
        path.unlink(missing_ok=True)
        return
    written = path.with_name(f".{path.name}")
    listed = ", ".join(text(str(part)) for part in parts)
    with duckdb.connect() as connection:
        rows = f"SELECT * FROM read_parquet([{listed}], union_by_name = true) ORDER BY {order}"
        connection.execute(f"COPY ({rows}) TO {text(str(written))} ({queries.FORMATS['.parquet']})")
    written.replace(path)
    for part in parts:
        part.unlink()


def rows(folder: Path, name: str) -> list[Mapping[str, Any]]:
    """Returns the rows of one of `FILES`, none where it was not written."""
    path = folder / name
    if not path.is_file():
        return []
    with duckdb.connect() as connection:
        cursor = connection.execute(f"SELECT * FROM read_parquet({text(str(path))}) ORDER BY ALL")
        columns = [column[0] for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _listed(arms: Sequence[str]) -> str:
    return ", ".join(text(arm) for arm in arms)
