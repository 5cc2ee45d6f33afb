"""A small run of a shipped study, recorded, and the page that is made of it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy import stats

from fragility.errors import UsageError
from fragility.execution.run import RunOptions, run_study
from fragility.references import load_reference
from fragility.report.published import against
from fragility.report.reproduction import beside, claims, figure_2, others, page
from fragility.report.reproduction.claim_tables import claim_tables
from fragility.report.reproduction.export import export
from fragility.report.reproduction.factorial import factorial
from fragility.report.reproduction.families import Family, Study, families, load, median
from fragility.report.reproduction.publications import publication
from fragility.report.source import Source
from fragility.store import Store, queries, recorded, recorded_examples, runs
from fragility.study.load import load_study

REFERENCE = load_reference("epifano-2023")
OVERRIDES = (
    *("repeats=5", "controls=false", "sweep.models.mlp.depth=[1,2]", "training.adam.steps=40"),
    *("procedures.published.steps=10", "procedures.published.train_points.count=6"),
    "procedures.corrected.train_points.count=6",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The store of a run, and the folder its values were recorded in."""
    folder = tmp_path_factory.mktemp("made")
    study = load_study("epifano-2023/iris-depth", OVERRIDES)
    run_study(study, folder / "store", RunOptions(device="cpu"), lambda event: None)
    export([folder / "store"], folder / "reproduction")
    (folder / "reproduction" / page.FINDINGS).write_text("- Found.\n", encoding="utf-8")
    return folder / "store", folder / "reproduction"


@pytest.fixture(scope="module")
def second(made: tuple[Path, Path]) -> Path:
    """A store with a later and smaller run of the same study, and a still later one cut short."""
    root = made[0].with_name("second")
    small = (*OVERRIDES[1:], "sweep.models.mlp.depth=[1]", "training.adam.steps=2", "repeats=1")
    run_study(load_study("epifano-2023/iris-depth", small), root, RunOptions(device="cpu"),
              lambda event: None)  # fmt: skip
    columns = "run_id, study, plan_id, study_path, study_text"
    run_id, *known = queries.query(root, f"SELECT {columns} FROM runs").rows[0]
    later = runs.RunStart(f"{run_id}-cut", *map(str, known[:2]), started="2999-01-01T00:00:00Z",
                          study_path=str(known[2]), study_text=str(known[3]))  # fmt: skip
    runs.write_start(root, later)
    return root


@pytest.fixture(scope="module")
def rendered(made: tuple[Path, Path]) -> str:
    """The page, written."""
    return page.write(made[1]).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def unnamed(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same values of a study that names no reference."""
    _, folder = made
    other = tmp_path_factory.mktemp("unnamed") / "reproduction"
    other.mkdir()
    (other / "iris-depth.parquet").write_bytes((folder / "iris-depth.parquet").read_bytes())
    text = "* REPLACE (replace(study_text, 'reference:', 'notes:') AS study_text)"
    duckdb.sql(f"SELECT {text} FROM '{folder}/runs.parquet'").write_parquet(
        str(other / "runs.parquet")
    )
    return other


def published(name: str) -> Family:
    return next(one for one in families([], REFERENCE) if one.anchor == name)


def test_recorded_values_say_what_the_store_says(made: tuple[Path, Path]) -> None:
    store, folder = made
    (study, run_id), *others = recorded.studies(folder)
    with recorded.connect(folder, study) as connection:
        small = against(Source(connection, run_id))
    with queries.connect(store, run_id) as connection:
        whole = against(Source(connection, run_id))

    assert not others
    assert small is not None
    assert len(small.lines) == 8
    assert small == whole


def test_of_several_stores_the_newest_run_that_came_to_its_end_is_taken(
    made: tuple[Path, Path], second: Path, tmp_path: Path
) -> None:
    first = made[0]
    statuses = queries.query(second, "SELECT status FROM runs ORDER BY started").rows
    ((run_id,),) = queries.query(second, "SELECT run_id FROM runs WHERE status = 'done'").rows

    export([first, second], tmp_path / "both")
    export([second, first], tmp_path / "turned")
    export([first], tmp_path / "one")

    assert statuses == [("done",), ("interrupted",)]
    for name in ("both", "turned"):
        assert recorded.studies(tmp_path / name) == [("iris-depth", run_id)]
    assert recorded.studies(tmp_path / "one") == recorded.studies(made[1])
    rows = duckdb.sql(f"SELECT DISTINCT repeat FROM '{tmp_path}/both/iris-depth.parquet'")
    assert rows.fetchall() == [(0,)]
    tasks = f"SELECT tasks, finished_tasks FROM '{tmp_path}/both/runs.parquet'"
    planned = "SELECT count(DISTINCT task_id) FROM tasks"
    assert duckdb.sql(tasks).fetchall() == [queries.query(second, planned, run_id).rows[0] * 2]


def with_another_study(made: tuple[Path, Path], folder: Path) -> Path:
    """What was recorded, and beside it an older study with the same rows."""
    shutil.copytree(made[1], folder)
    for name in ("runs", "pairs", "trajectories"):
        rows = f"SELECT * FROM '{made[1]}/{name}.parquet'"
        other = rows.replace("*", "* REPLACE ('old' AS study)")
        duckdb.sql(f"{rows} UNION ALL {other}").write_parquet(str(folder / f"{name}.parquet"))
    (folder / "old.parquet").write_bytes((folder / "iris-depth.parquet").read_bytes())
    (folder / "findings.md").write_text("- Mine.\n", encoding="utf-8")
    return folder


def test_what_is_no_more_recorded_leaves_the_folder(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = with_another_study(made, tmp_path / "again")
    export([made[0]], folder)
    assert recorded.studies(folder) == recorded.studies(made[1])
    assert sorted(path.suffix for path in folder.iterdir()) == [".md", *[".parquet"] * 4]


def test_what_is_no_more_recorded_stays_where_it_is_to_be_kept(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = with_another_study(made, tmp_path / "again")
    before = (folder / "old.parquet").read_bytes()
    rows = {name: recorded_examples.rows(folder, name) for name in recorded_examples.FILES}
    (folder / "iris-depth.parquet").write_bytes(b"")
    export([made[0]], folder, keep=True)
    assert [name for name, _ in recorded.studies(folder)] == ["iris-depth", "old"]
    assert (folder / "old.parquet").read_bytes() == before
    assert (folder / "iris-depth.parquet").stat().st_size
    assert len(list(folder.iterdir())) == 6
    for name, known in rows.items():
        assert recorded_examples.rows(folder, name) == known
    export([made[0]], tmp_path / "new", keep=True)
    assert recorded.studies(tmp_path / "new") == recorded.studies(made[1])


def test_a_run_that_was_cut_short_replaces_nothing_that_is_to_be_kept(
    made: tuple[Path, Path], second: Path, tmp_path: Path
) -> None:
    cut, folder = tmp_path / "cut", tmp_path / "folder"
    columns = "run_id, study, plan_id, study_path, study_text"
    run_id, study, plan, path, words = queries.query(second, f"SELECT {columns} FROM runs").rows[0]
    with Store.open(cut, write=True):
        pass
    start = runs.RunStart(str(run_id), str(study), str(plan), started="2999-01-01T00:00:00Z",
                          study_path=str(path), study_text=str(words))  # fmt: skip
    runs.write_start(cut, start)
    shutil.copytree(made[1], folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(UsageError, match="came to its end"):
        export([cut], folder, keep=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    export([cut], tmp_path / "new", keep=True)
    assert recorded.studies(tmp_path / "new") == [(study, run_id)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("koh-liang-2017/logistic", "koh-liang-2017"),
        ("epifano-2023/revisited", "epifano-2023"),
        ("epifano-2023/nothing", None),
        ("controls/convex", None),
        ("quickstart", None),
        ("elsewhere/koh-liang-2017/logistic.yaml", None),
        (None, None),
    ],
)
def test_publications_are_the_shipped_folders_with_a_year(path: str, expected: str | None) -> None:
    assert publication({"study_path": path}) == expected


def test_a_family_has_the_values_of_its_runs(made: tuple[Path, Path]) -> None:
    store, folder = made
    family = next(one for one in families(load(folder), REFERENCE) if one.study)
    sql = """SELECT c.factors->>'models.mlp.depth', c.repeat, a.value FROM agreements a
             JOIN cells c USING (cell_id) WHERE a.estimator = '{0}' AND a.procedure = '{0}'
             AND metric = 'spearman' AND test_point IS NOT NULL ORDER BY ALL"""

    for side, label in (("ours", "published"), ("corrected", "corrected")):
        rows = queries.query(store, sql.format(label)).rows
        expected = {d: [v for depth, _, v in rows if depth == d] for d in ("1", "2")}
        found = family.values(side, "spearman")  # type: ignore[arg-type]
        assert {level: values.tolist() for level, values in found.items()} == expected
    assert family.values("published", "spearman")["1"].size == 50


def test_the_command_names_the_store_as_the_export_did(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, _ = made
    monkeypatch.chdir(store.parent)
    sql = recorded.run("r", Path("store")).sql

    assert f"replace(r.command, '{store.resolve()}', 'store')" in sql


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "/some/where", "--store", "x"], "run s --data data --store x"),
        (["--data", "/some/where else"], "run s --data data"),
        (["--data=/some/where else", "--force"], "run s --data data --force"),
        (["--data", "images", "--store", "/x"], "run s --data images --store /x"),
    ],
)
def test_the_command_names_no_place_of_images_on_a_machine(options: list[str], said: str) -> None:
    facts = (
        "title overrides study_text study_path started finished status device threads compilation"
        " versions seed"
    )
    nothing = ", ".join(f"NULL AS {name}" for name in facts.split())
    with duckdb.connect() as connection:
        given = shlex.join(["run", "s", *options])
        connection.execute(
            f"CREATE TABLE runs AS SELECT 'r' AS run_id, 's' AS study, ? AS command, {nothing}",
            [given],
        )
        connection.execute("CREATE TABLE cells (cell_id TEXT, study TEXT)")
        connection.execute(
            "CREATE TABLE tasks (task_id TEXT, cell_id TEXT, seconds DOUBLE, status TEXT)"
        )
        sql = f"SELECT command FROM ({recorded.run('r', Path('store')).sql})"
        assert connection.execute(sql).fetchall() == [(said,)]


def test_published_analysis_of_variance_is_that_of_scipy() -> None:
    family = published("figure1_l2_selu")
    found = next(one for one in claims.size_effects([family]) if one.side == "published")
    settings = REFERENCE.families["IRIS/figure1_l2_selu"].settings
    groups = [np.abs(settings[f"depth_{d}"].values["spearman"]) for d in range(1, 9)]  # type: ignore[arg-type]
    f, p = stats.f_oneway(*groups)
    depths = np.repeat(np.arange(1, 9), 50)
    trend = stats.spearmanr(depths, np.concatenate(groups))

    assert found.f == pytest.approx(f)
    assert found.p == pytest.approx(p)
    assert found.trend == pytest.approx(trend.statistic)
    assert found.change.value == pytest.approx(np.median(groups[7]) - np.median(groups[0]))
    assert found.answer == claims.FALLS


def test_trends_are_corrected_over_the_families_of_a_reading() -> None:
    both = [published("figure1_l2_selu"), published("figure1_nol2_selu")]
    alone = [claims.size_effects([one])[0].p_trend or 0.0 for one in both]
    together = [one.p_trend for one in claims.size_effects(both)]

    assert together == pytest.approx([min(1.0, 2 * min(alone)), max(alone)])


def test_weight_decay_is_compared_at_the_sizes_that_both_families_have() -> None:
    both = [published("figure1_l2_tanh"), published("figure1_nol2_tanh")]
    (found,) = claims.regularization_effects(both)
    values = [
        np.abs(np.concatenate([v for k, v in one.values("published", "spearman").items()
                               if k != "4"]))
        for one in both
    ]  # fmt: skip

    assert found.sizes == 7
    assert found.runs == (350, 340)
    assert found.change.value == pytest.approx(np.median(values[0]) - np.median(values[1]))
    assert found.answer == claims.RISES


def test_medians_have_intervals_from_five_runs_on() -> None:
    values = np.array([0.1, 0.2, 0.4, 0.5, 0.9])
    few, enough = median(values[:4], "a"), median(values, "a")

    assert (few.value, few.low) == (pytest.approx(0.3), None)
    assert few.reason
    assert (enough.value, enough.reason) == (0.4, None)
    assert enough.low is not None
    assert enough.high is not None
    assert 0.1 <= enough.low < 0.4 < enough.high <= 0.9


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.09, 0.09, claims.LITTLE),
        (0.01, 0.09, claims.LITTLE),
        (0.01, 0.2, claims.RISES),
        (-0.2, -0.01, claims.FALLS),
        (-0.2, 0.01, claims.UNKNOWN),
    ],
)
def test_what_an_interval_says(low: float, high: float, said: str) -> None:
    assert claims.answer(claims.Estimate(0.0, low, high)) == said


def test_the_page_has_a_row_a_setting(made: tuple[Path, Path], rendered: str) -> None:
    _, folder = made

    assert len(re.findall(r"^\| depth_[12] \| depth=[12] \| \S+ \(50\) \| ", rendered, re.M)) == 2
    assert "`training.adam.steps=40`" in rendered
    assert "Not run: `IRIS/figure1_nol2_selu`" in rendered
    assert "not in the reference: `IRIS/figure1_width_l2_selu`" in rendered
    assert rendered.endswith("looking into it\n\n- Found.\n")
    assert {row.count("|") for row in rendered.splitlines() if row[:8] == "| depth_"} == {7, 9}
    for name in re.findall(r"!\[[^]]*\]\(reproduction/([^)]+)\)", rendered):
        assert "var(" not in (folder / name).read_text(encoding="utf-8")
    assert len(list(folder.glob("*.svg"))) == rendered.count("![")
    assert "figure-1-spearman-depth-corrected.svg" in rendered
    assert "figure-1-spearman-width-ours.svg" not in rendered


def test_its_queries_return_its_rows(
    made: tuple[Path, Path], rendered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made[1].parent)
    found = re.findall(r"`(SELECT [^`]+)`", rendered)

    assert len(found) == 6
    # Of the family, of the three claims, under figures 1 and 3, and of the single runs.
    runs, pairs, arms = 2 * 5, 2 * 2, 2
    assert [len(duckdb.sql(sql).fetchall()) for sql in found] == [
        runs * (2 * pairs + 4), runs * 2 * pairs, runs * pairs, runs * 2, 2 * arms * (6 + 1),
        arms * (6 + 1),
    ]  # fmt: skip


def test_single_runs_are_drawn_from_the_pairs_of_the_store(made: tuple[Path, Path]) -> None:
    store, folder = made
    pairs = recorded_examples.rows(folder, recorded_examples.PAIRS_FILE)
    lines = recorded_examples.rows(folder, recorded_examples.TRAJECTORIES_FILE)
    sql = """SELECT corr(s.score, e.effect) FROM effects e JOIN cells c USING (cell_id)
             JOIN scores s USING (cell_id, test_point, train_point)
             WHERE s.estimator = '{0}' AND e.procedure = '{0}' AND c.arm = 'depth=2'
             AND c.repeat = 0"""

    for name in ("published", "corrected"):
        here = [r for r in pairs if (r["arm"], r["estimator"]) == ("depth=2", name)]
        points = np.array([(r["score"], r["effect"]) for r in here if r["train_point"] is not None])
        ((expected,),) = queries.query(store, sql.format(name)).rows
        assert len(points) == 6
        assert len(here) == 7
        assert np.corrcoef(points.T)[0, 1] == pytest.approx(expected)
    assert {(row["arm"], row["repeat"]) for row in pairs} == {("depth=1", 0), ("depth=2", 0)}
    assert {row["procedure"] for row in lines} == {"published"}
    drawn = {one.name: one for one in page.render(folder)[1]}
    assert [panel.title.partition(":")[0] for panel in drawn["figure-4"].panels] == [
        "Iris, depth=1, as published, by us",
        "Iris, depth=1, corrected",
        "Iris, depth=2, as published, by us",
        "Iris, depth=2, corrected",
        "MNIST, one hidden layer, by width, 128, published, run 6",
    ]
    assert drawn["figure-4"].panels[-1].title.endswith("Spearman \u22120.760")
    assert len(drawn["figure-5"].panels) == 2


def test_figure_2_has_the_means_of_the_paper(made: tuple[Path, Path]) -> None:
    # Mean sizes over the first 40 points, as the paper's bars show them.
    bars = {"FC 128": 0.808, "LeNet": 0.11, "VGG-13": 0.19, "BNN": 0.06}
    first, second = (
        {place.label: figure_2.values(place, [], REFERENCE, "published") for place in places}
        for places in figure_2.PANELS.values()
    )

    for label, size in bars.items():
        assert np.abs(first[label]).mean() == pytest.approx(size, abs=0.01)
    assert second.keys() == {"LeNet", "VGG-13", "BNN"}
    assert figure_2.values(figure_2.PANELS["MNIST"][0], [], REFERENCE, "ours").size == 0
    ours = next(one for one in families(load(made[1]), REFERENCE) if one.study)
    place = figure_2.Place("x", ours.key, "depth_2")
    np.testing.assert_array_equal(
        figure_2.values(place, [ours], REFERENCE, "corrected"),
        ours.values("corrected", "spearman")["2"],
    )


def test_a_family_of_several_studies_has_a_name_for_each(made: tuple[Path, Path]) -> None:
    (study,) = load(made[1])
    other = replace(study, run={**study.run, "study": "another"})
    found = [one for one in families([study, other], REFERENCE) if one.study]

    assert [one.anchor for one in found] == [
        "figure1_l2_selu, iris-depth",
        "figure1_l2_selu, another",
    ]
    assert [one.place for one in found] == ["figure1_l2_selu-iris-depth", "figure1_l2_selu-another"]
    assert found[1].title == f"{found[1].published.title}: another"


def test_what_was_run_at_another_size_is_named_and_not_counted(made: tuple[Path, Path]) -> None:
    found = families(load(made[1]), REFERENCE)
    (ours,) = [one for one in found if one.study]
    told = claim_tables(found)

    assert [row["reading"] for row in told["sizes"] if row["family"] == ours.link] == [
        "Published",
        "As published, by us, at another size",
        "Corrected, at another size",
    ]
    assert all("published, it" in said for said in told["answers"][:2])
    assert not any("by us" in said for said in told["answers"])


def test_the_same_files_give_the_same_page(made: tuple[Path, Path], rendered: str) -> None:
    assert page.render(made[1])[0] == rendered


def test_a_study_without_published_numbers_has_all_its_pairs(unnamed: Path) -> None:
    (study,) = load(unnamed)
    found = beside.agreements(study)
    text, _ = page.render(unnamed)

    assert study.against is None
    assert len(found) == 2 * 2 * 2
    for one in found:
        assert (one.mismatch is None) == (one.pair == ("corrected", "corrected"))
        sql = f"""SELECT median(value) FROM '{unnamed}/iris-depth.parquet'
                  WHERE metric = 'pearson' AND arm = '{one.arm}'
                  AND (estimator, procedure) = {one.pair}"""
        assert duckdb.sql(sql).fetchall() == [(pytest.approx(one.pearson.value),)]
    for one in beside.ranges(found):
        values = [other.spearman.value or 0.0 for other in found if other.pair == one.pair]
        assert (one.lowest.spearman.value, one.highest.spearman.value) == (min(values), max(values))
    assert "## Studies without published numbers" in text
    assert "Not run: `IRIS/figure1_l2_selu`" in text


def test_what_a_swept_choice_changes_is_the_mean_over_the_others() -> None:
    sweep = "sweep: [{models.mlp.depth: [1, 2]}, {a.b: [x, y], a.c: [true, false]}]"
    values, cells, rows = {}, [], []
    rng = np.random.default_rng(0)
    for repeat in range(6):
        for depth in (1, 2):
            for b, c in (("x", True), ("y", False)):
                arm = f"{depth} {b}"
                values[repeat, depth, b] = float(rng.normal())
                factors = {"models.mlp.depth": depth, "a.b": b, "a.c": c}
                cells.append({"arm": arm, "repeat": repeat, "factors": json.dumps(factors)})
                rows.append({"arm": arm, "repeat": repeat, "estimator": "e", "procedure": "p",
                             "metric": "spearman", "value": values[repeat, depth, b]})  # fmt: skip
    study = Study({"study": "s", "study_text": sweep, "overrides": "[]"}, None, cells, rows, [], [])
    found = {one.level: one for one in beside.effects(study)}
    deeper = [np.mean([values[r, 2, b] - values[r, 1, b] for b in "xy"]) for r in range(6)]
    other = [np.mean([values[r, d, "y"] - values[r, d, "x"] for d in (1, 2)]) for r in range(6)]

    assert found.keys() == {"depth = 2", "b = y, c = false"}
    assert found["depth = 2"].change.value == pytest.approx(np.median(deeper))
    assert found["b = y, c = false"].change.value == pytest.approx(np.median(other))
    assert found["b = y, c = false"].first == "b = x, c = true"
    assert found["depth = 2"].repeats == 6


def of_another_paper(rows: Sequence[Mapping[str, object]]) -> Study:
    text = "procedures: {warm: {}, cold: {}}\nestimators: {none: {kind: random}, exact: {}}"
    run = {"study": "s", "study_text": text, "overrides": "[]"}
    return Study(run, None, [], [], [], [], rows)


def test_of_one_repeat_the_interval_is_over_test_points() -> None:
    values = {"warm": [0.9, 0.5, 0.7, 0.8, 0.6], "cold": [0.1, 0.2, -0.3, 0.2, 0.3]}
    study = of_another_paper([
        {"arm": "a", "estimator": e, "procedure": p, "metric": m, "repeat": 0, "test_point": t,
         "value": v + (m == "slope")}
        for p, found in values.items() for t, v in enumerate(found)
        for e in ("exact", "none") for m in ("pearson", "spearman", "slope")
    ])  # fmt: skip
    found = others.agreements(study)

    assert [(one.estimator, one.procedure) for one in found] == [
        ("none", "warm"), ("none", "cold"), ("exact", "warm"), ("exact", "cold")
    ]  # fmt: skip
    assert (found[2].over, found[2].units) == ("test points", 5)
    assert (found[2].lowest, found[2].highest) == (0.5, 0.9)
    assert found[2].values["pearson"] == median(np.array(values["warm"]), *("s", "a"),
                                                *("exact", "warm", "pearson"))  # fmt: skip
    assert found[2].values["slope"].value == pytest.approx(1.7)
    assert [said.replace("\xa0", " ") for said in others.reading(study, found)] == [
        "The median of Pearson's correlation of `exact` is 0.700 [0.500, 0.900] with `warm` and"
        " 0.200 [−0.300, 0.300] with `cold`, over 5 test points."
    ]


def test_of_five_repeats_the_interval_is_over_repeats() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(5, 3))
    study = of_another_paper([
        {"arm": "a", "estimator": "exact", "procedure": "warm", "metric": "pearson", "repeat": r,
         "test_point": t, "value": float(table[r, t])}
        for r in range(5) for t in range(3)
    ])  # fmt: skip
    (found,) = others.agreements(study)

    assert (found.over, found.units) == ("repeats", 5)
    assert found.values["pearson"].value == pytest.approx(np.median(np.median(table, axis=1)))
    assert (found.lowest, found.highest) == (table.min(), table.max())


def test_the_study_of_another_paper_has_a_section_of_its_own(
    unnamed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reproduction"
    shutil.copytree(unnamed, folder)
    path = "* REPLACE ('basu-2021/mnist-cnn' AS study_path)"
    duckdb.sql(f"SELECT {path} FROM '{unnamed}/runs.parquet'").write_parquet(
        str(folder / "runs.parquet")
    )
    text, _ = page.render(folder)
    monkeypatch.chdir(tmp_path)
    section = text[text.index("## Other papers") : text.index("## Does the size")]
    (medians,) = re.findall(r"Medians: `(SELECT [^`]+)`", section)
    (row,) = re.findall(
        r"^\| depth=2 \| corrected · corrected \|.*?\| (\S+) \[.*\| 5 repeats", section, re.M
    )
    known = {tuple(one[:4]): one[4] for one in duckdb.sql(medians).fetchall()}

    assert "0.92 to 0.38" in " ".join(section.split())
    assert "[Basu et al. 2021](#basu-2021): With depth=1," in text
    assert "## Studies without published numbers" not in text
    assert float(row) == pytest.approx(
        known["depth=2", "corrected", "corrected", "pearson"], abs=5e-4
    )


def test_there_is_no_page_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no `"):
        page.render(tmp_path)


def test_of_swept_faults_every_specification_is_drawn_and_the_mended_score_by_truth() -> None:
    sweep = "sweep: [{models.mlp.depth: [1, 2]}, {a.b: [x, y]}]\nprocedures: {q: {}, p: {}}"
    cells, rows = [], []
    for repeat in range(5):
        for depth in (1, 2):
            for b in "xy":
                arm = f"{depth} {b}"
                factors = {"models.mlp.depth": depth, "a.b": b}
                cells.append({"arm": arm, "repeat": repeat, "factors": json.dumps(factors)})
                rows += [{"arm": arm, "repeat": repeat, "estimator": "e", "procedure": p,
                          "metric": m, "value": 0.1 * depth + 0.01 * repeat, "pairs": 25}
                         for p in "pq" for m in ("spearman", "pearson")]  # fmt: skip
    run = {"study": "s", "study_text": sweep, "overrides": "[]"}
    curve, truths = factorial(Study(run, None, cells, rows, [], []), "folder")

    assert curve.panels[0].title.startswith("16 specifications")
    assert truths.keys == (
        "blue circles: depth = 1", "red squares: depth = 2", "truth 1: `q`", "truth 2: `p`"
    )  # fmt: skip
    assert "metric IN ('spearman', 'pearson') ORDER" in curve.sql
    assert factorial(Study({**run, "study_text": ""}, None, cells, rows, [], []), "folder") == []
