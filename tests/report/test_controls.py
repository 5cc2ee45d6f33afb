"""Controls: their statistics against closed forms and other libraries, and that each can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_diabetes

from fragility.datasets.base import Subset
from fragility.datasets.diabetes import Diabetes
from fragility.execution.controls import run_controls, waiting
from fragility.execution.run import RunOptions
from fragility.report.control_rules import PARTS, Rule
from fragility.report.control_statistics import Inside, drawn, half_against_half
from fragility.report.controls import stored
from fragility.report.leverage import cross_entropy, leverages, squared_error
from fragility.report.page import page
from fragility.report.sections import controls, head
from fragility.report.source import Source
from fragility.store import control_queries as ask
from fragility.store.queries import connect, query
from fragility.store.report_queries import Query
from tests.report.conftest import PageOf
from tests.report.world import quickstart
from tests.tiny import TINY, run

Values = Any


def removed(n: int, p: int, seed: int) -> tuple[Values, Values, Values, Values]:
    """Scores, effects, losses and leverages of least squares, by its normal equations."""
    rng = np.random.default_rng(seed)
    inputs, tests = rng.standard_normal((n, p)), rng.standard_normal((12, p))
    targets, outcomes = rng.standard_normal(n), rng.standard_normal(12)
    theta = np.linalg.solve(inputs.T @ inputs, inputs.T @ targets)
    inverse = np.linalg.inv(inputs.T @ inputs)
    residuals, of_tests = inputs @ theta - targets, tests @ theta - outcomes
    scores = 2 * of_tests[:, None] * (tests @ inverse @ inputs.T) * residuals
    effects = np.empty_like(scores)
    for i in range(n):
        kept = np.delete(np.arange(n), i)
        without, *_ = np.linalg.lstsq(inputs[kept], targets[kept], rcond=None)
        effects[:, i] = (tests @ without - outcomes) ** 2 - of_tests**2
    hat = np.diag(inputs @ inverse @ inputs.T)
    return scores, effects, np.repeat(of_tests[:, None] ** 2, n, axis=1), hat


def test_leverages_are_the_diagonal_of_the_hat_matrix_and_explain_all() -> None:
    scores, effects, loss, hat = removed(30, 6, 0)
    found = leverages(scores, effects, loss, squared_error)
    np.testing.assert_allclose(found.values, hat, atol=1e-8)
    assert found.values.sum() == pytest.approx(6)
    np.testing.assert_allclose(found.predicted, found.measured, atol=1e-9)
    assert found.correlations.min() > 1 - 1e-12
    assert np.corrcoef(scores[0], effects[0])[0, 1] < 0.999


def test_the_loss_of_two_classes_is_followed_along_its_margin() -> None:
    margins = np.linspace(-3, 3, 7)
    curve = cross_entropy(np.log1p(np.exp(-margins)))
    np.testing.assert_allclose(curve.value(np.full(7, 0.5)), np.log1p(np.exp(-margins - 0.5)))
    ahead, behind = curve.value(np.full(7, 1e-6)), curve.value(np.full(7, -1e-6))
    np.testing.assert_allclose(curve.slope(np.zeros(7)), (ahead - behind) / 2e-6, rtol=1e-7)


@pytest.mark.parametrize("total", [1, 5, 40, 480])
def test_the_fewest_inside_a_band_are_a_binomial_quantile(total: int) -> None:
    assert Inside(total, total).fewest == stats.binom.ppf(0.001, total, 0.95)


def test_random_numbers_stay_inside_whatever_the_effects() -> None:
    rng = np.random.default_rng(0)
    heavy = np.sign(rng.standard_normal((500, 25))) * rng.pareto(1.0, (500, 25))
    found = drawn(heavy, seed=3)
    assert found is not None
    assert found.count >= found.fewest
    assert 0.93 < found.share < 0.97


def noisy(replicates: int, noise: float, tests: int = 200, points: int = 50) -> Values:
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((tests, points))
    return truth + noise * rng.standard_normal((replicates, tests, points))


@pytest.mark.parametrize(("replicates", "noise"), [(4, 1.0), (8, 2.0), (5, 0.5)])
def test_halves_reach_what_noise_allows_when_replicates_differ_by_noise_alone(
    replicates: int, noise: float
) -> None:
    found = half_against_half(noisy(replicates, noise), seed=0)
    assert found is not None
    allowed = 1 / (1 + noise**2 / (replicates // 2))
    assert found.allowed == pytest.approx(allowed, abs=0.02)
    assert found.observed.value == pytest.approx(allowed, abs=0.02)


def test_test_points_of_unequal_noise_are_judged_one_by_one() -> None:
    """Half of them almost without noise, half of them noise: the mean reliability allows more."""
    effects = np.concatenate([noisy(4, 0.1, tests=100), noisy(4, 100.0, tests=100)], axis=1)
    found = half_against_half(effects, seed=0)
    assert found is not None
    assert found.observed.value == pytest.approx(0.5, abs=0.05)
    assert found.allowed == pytest.approx(found.observed.value, abs=0.06)


def test_one_replicate_has_no_halves() -> None:
    assert half_against_half(noisy(1, 1.0), seed=0) is None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("controls") / "results"
    assert len(waiting(root)) == 2
    summaries = run_controls(root, RunOptions(device="cpu"))
    assert [summary.failed for summary in summaries] == [0, 0]
    return root


def test_all_shipped_controls_pass_and_the_second_time_nothing_is_left(store: Path) -> None:
    with connect(store) as connection:
        found = stored(Source(connection, "none"))
    assert found.failed == []
    assert len(found.rows) == 10
    assert {study for study, _ in found.tables} == set(PARTS)
    assert waiting(store) == []
    assert run_controls(store, RunOptions(device="cpu")) == []


def test_the_ridges_leverages_are_those_of_its_data(store: Path) -> None:
    """Data, penalty and hat matrix written out with scikit-learn's arrays."""
    rows = query(store, "SELECT n_train, parameters FROM cells WHERE dataset = 'diabetes'").rows
    ((n, parameters),) = rows
    with connect(store) as connection:
        source = Source(connection, "none")
        (run,) = [r["run_id"] for r in source.ask(ask.NEWEST) if r["study"] == "controls-convex"]
        part = source.beside(run)
        pairs = part.columns(ask.PAIRS)
    here = (pairs["dataset"] == "diabetes") & (pairs["procedure"] == "warm")
    scores, effects, loss = (pairs[k][here].reshape(40, n) for k in ("score", "effect", "loss"))
    found = leverages(scores, effects, loss, squared_error).values
    fields = {"standardize": "train", "standardize_targets": True}
    dataset = Diabetes(**fields, subset=Subset(train=100, test=40))
    inputs = load_diabetes().data[dataset.load(0, Path()).train.rows]
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    design = np.column_stack([inputs, np.ones(n)])
    hessian = 2 * design.T @ design / n + 0.3 * np.eye(parameters)
    hat = design @ np.linalg.solve(hessian, 2 * design.T / n)
    np.testing.assert_allclose(found, np.diag(hat), rtol=1e-6)


class Altered(Source):
    """The run of a part, with other rows of one query."""

    def __init__(self, part: Source, of: Query, change: Callable[[dict[str, Any]], None]) -> None:
        self.part, self.of, self.change = part, of, change

    def columns(self, query: Query) -> Any:
        found = {name: np.array(values) for name, values in self.part.columns(query).items()}
        if query == self.of:
            self.change(found)
        return found

    def ask(self, query: Query) -> Any:
        rows = [dict(row) for row in self.part.ask(query)]
        for row in rows if query == self.of else ():
            self.change(row)
        return tuple(rows)


def lower(row: dict[str, Any]) -> None:
    row["value"] = row["value"] - 0.02


def noise(rows: dict[str, Any]) -> None:
    rows["effect"] += 1e-2 * rows["effect"].std() * np.sin(np.arange(len(rows["effect"])))


def negated(name: str) -> Callable[[dict[str, Any]], None]:
    def change(rows: dict[str, Any]) -> None:
        rows[name] = -rows[name]

    return change


def moved_on(rows: dict[str, Any]) -> None:
    rows["effect"] = np.roll(rows["effect"], 1)


def related(rows: dict[str, Any]) -> None:
    rows["value"] = np.full(len(rows["value"]), 0.5)


def opposed(rows: dict[str, Any]) -> None:
    rows["effect"] = np.where(rows["replicate"] % 2, -1, 1) * rows["effect"]


SABOTAGE: dict[str, tuple[Query, Callable[[dict[str, Any]], None]]] = {
    "Exact scores, logistic regression": (ask.AGREED, lower),
    "Leverage, logistic regression": (ask.PAIRS, moved_on),
    "Exact scores, ridge regression": (ask.AGREED, lower),
    "Leverage, ridge regression": (ask.PAIRS, noise),
    "Random scores": (ask.BY_TEST_POINT, related),
    "Flipped labels, by score": (ask.PAIRS, negated("score")),
    "Flipped labels, by retraining": (ask.PAIRS, negated("effect")),
    "Copies": (ask.PAIRS, moved_on),
    "Half against half, network": (ask.REPLICATES, opposed),
    "Untrained network": (ask.BY_TEST_POINT, related),
}
RULES = [(study, rule) for study, rules in PARTS.items() for rule in rules]


@pytest.fixture
def parts(store: Path) -> Iterator[dict[str, Source]]:
    with connect(store) as connection:
        source = Source(connection, "none")
        yield {row["study"]: source.beside(row["run_id"]) for row in source.ask(ask.NEWEST)}


@pytest.mark.parametrize(("study", "rule"), RULES, ids=lambda x: getattr(x, "name", x))
def test_every_control_can_fail(study: str, rule: Rule, parts: dict[str, Source]) -> None:
    part = parts[study]
    unharmed = rule.measure(part)
    assert unharmed is not None
    assert unharmed[1]
    query, change = SABOTAGE[rule.name]
    assert query in rule.queries
    harmed = rule.measure(Altered(part, query, change))
    assert harmed is not None
    assert not harmed[1]


def test_controls_beside_a_study_are_seen_only_when_they_are_chosen(store: Path) -> None:
    studies = "SELECT DISTINCT study FROM cells ORDER BY study"
    assert query(store, studies).rows == [("controls-convex",), ("controls-network",)]
    run(TINY, store)
    assert query(store, studies).rows == [("tiny",)]
    assert query(store, studies, "controls-network").rows == [("controls-network",)]
    planted = "SELECT what, count(*) FROM planted GROUP BY what ORDER BY what"
    assert query(store, planted).rows == []
    # One of the copies is of a flipped example.
    assert query(store, planted, "controls-convex").rows == [("copy", 10), ("flipped", 11)]


def test_the_page_says_what_came_out(store: Path) -> None:
    summary = run(TINY, store)
    with connect(store, summary.run_id) as connection:
        html = page(connection, summary.run_id)
    assert "<b>Controls:</b> passed 11 of 11" in html
    assert "All 11 controls passed, 1 of them on this study&#39;s own rows" in html
    assert "fragility query --run controls-convex" in html
    assert html.index('<section id="controls">') < html.index('<section id="verdict">')
    assert "Controls failed" not in html


def test_a_failed_control_stands_before_every_verdict(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fragility.report.control_rules.AGREES", 0.9999)
    summary = run(TINY, store)
    with connect(store, summary.run_id) as connection:
        html = page(connection, summary.run_id)
    told = "Exact scores, logistic regression and Exact scores, ridge regression"
    assert f"<b>Controls failed:</b> {told}" in html
    verdict = html[html.index('<section id="verdict">') :]
    assert verdict.index(f"Controls failed: {told}.") < verdict.index("verdicts")


def test_a_store_without_controls_says_so(page_of: PageOf) -> None:
    html = page_of(quickstart().connection(), head.section, controls.section)
    assert "<b>Controls:</b> not run" in html
    assert "The shipped controls are not in this store." in html
    assert "Random scores, this study" in html
