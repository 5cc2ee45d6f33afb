"""The model's curvature in the report, against made-up spectra whose numbers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fragility.report import curvature, spectra
from fragility.report.context import Context
from fragility.report.figures.spectrum import Signed, scale_of
from fragility.report.sections import convergence
from fragility.report.source import Source
from fragility.store import curvature_queries as curved
from tests.report import world
from tests.report.conftest import PageOf
from tests.report.test_page import assert_sound, printed_queries

HESSIAN = "hessian of all parameters"
NEWTON = ("newton_decrement", "newton_decrease", "newton_step_norm")


def fact(
    w: world.World, cell: str, task: str, name: str, value: float | None, detail: str | None = None
) -> None:
    w.add("diagnostics", (cell, task, name, None, value, detail))


def spectrum(
    w: world.World, cell: str, task: str, values: Any, *, matrix: str = HESSIAN, **more: Any
) -> None:
    values = np.array(values, dtype=float)
    weights = more.get("weights", np.ones(len(values)))
    rows = zip(range(len(values)), values.tolist(), weights.tolist(), strict=True)
    for place, value, weight in rows:
        w.add("spectra", (cell, task, more.get("estimator"), matrix, place, value, weight))


def estimator(w: world.World, cell: str, name: str, damping: float, matrix: str = HESSIAN) -> str:
    task = f"{cell}-estimate-{name}"
    w.add("tasks", world._task(task, cell, "estimate", name))
    fact(w, cell, task, "damping", damping, matrix)
    fact(w, cell, task, "machine_epsilon", 2.0**-23)
    fact(w, cell, task, "curvature_condition_number", 400.0)
    return task


def study(*arms: world.Arm, repeats: int = 1, estimators: tuple[str, ...] = ("exact",)) -> Any:
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, arms, repeats=repeats, tests=2, points=8, estimators=estimators)
    return w


def context(w: world.World) -> Context:
    return Context(Source(w.connection(), world.RUN))


def test_a_store_without_spectra_has_no_figure_and_no_new_table() -> None:
    data = convergence.section(context(study(world.Arm("mlp")))).data
    assert data["spectrum"] is None
    assert data["stationarity"] == []
    assert data["curvatures"][0][1] == "the objective"


def test_the_effective_dimension_is_the_sum_at_the_estimators_damping() -> None:
    w = study(world.Arm("mlp"), repeats=3)
    values = [[-0.5, 0.01, 0.1, 2.0], [0.0, 0.02, 0.3, 3.0], [0.1, 0.2, 0.3, 0.4]]
    expected = []
    for repeat, own in enumerate(values):
        cell = f"cell000r{repeat:02d}"
        task = estimator(w, cell, "exact", 0.1)
        # The same matrix, kept by a diagnostic and by the estimator, counts once.
        spectrum(w, cell, f"{cell}-diagnose-spectrum", own)
        spectrum(w, cell, task, own, estimator="exact")
        positive = np.clip(own, 0, None)
        expected.append((positive / (positive + 0.1)).sum())
    (row,) = context(w).source.ask(curved.EFFECTIVE)
    assert row["effective_dimension"] == pytest.approx(np.median(expected))
    assert row["parameters"] == 4
    line = next(line for line in curvature.curvatures(context(w)) if line[1] == "exact")
    assert line[6] == f"{np.median(expected):.3g} of 4"
    assert line[5] == "0.1"


def test_without_damping_there_is_no_effective_dimension() -> None:
    w = study(world.Arm("mlp"))
    spectrum(w, "cell000r00", estimator(w, "cell000r00", "exact", 0.0), [1.0], estimator="exact")
    line = next(line for line in curvature.curvatures(context(w)) if line[1] == "exact")
    assert line[5:7] == ["0", "–"]
    chart = spectra.chart(context(w))
    assert chart is not None
    assert "damping of exact (0: not drawn)" in [key.label for key in chart.keys]


def test_the_condition_is_held_against_the_precision_used() -> None:
    w = study(world.Arm("mlp"))
    cell = "cell000r00"
    fact(w, cell, "d1", "condition_number", 1e12, "at least: 64 steps of Lanczos")
    fact(w, cell, "d1", "machine_epsilon", 2.0**-52, "the model was trained in float64")
    estimator(w, cell, "exact", 0.1, "gauss_newton of last_layer")
    model, exact = curvature.curvatures(context(w))
    assert model[7:] == ["≥ 1.00\u202f×\u202f10¹²", "float64", "2.22\u202f×\u202f10⁻⁴"]
    assert exact[1] == "exact: gauss_newton of last_layer"
    assert exact[7:] == ["400", "float32", "4.77\u202f×\u202f10⁻⁵"]


def test_stationarity_is_held_against_one_examples_share() -> None:
    w = study(world.Arm("mlp", grad_norm=1e-3), repeats=3)
    for repeat, decrement in enumerate((0.1, None, 0.3)):
        cell = f"cell000r{repeat:02d}"
        fact(w, cell, f"{cell}-d", "example_gradient_norm", 1e-4)
        why = "indefinite: 3 of 62 eigenvalues are negative, the lowest -0.1"
        for name in NEWTON:
            fact(w, cell, f"{cell}-n", name, decrement, why if decrement is None else None)
    found = context(w)
    (line,) = curvature.stationarity(found)
    norms = [
        row[0]
        for row in found.source._connection.execute(
            "SELECT value FROM diagnostics WHERE name = 'gradient_norm'"
        ).fetchall()
    ]
    share = np.median(norms) / 1e-4
    assert share > 1
    assert line[3] == f"{share:#.3g} times"
    assert line[4] == "0.200 (2 of 3 models)"


def test_an_indefinite_hessian_is_said_in_a_word() -> None:
    w = study(world.Arm("mlp"))
    why = "indefinite: 3 of 62 eigenvalues are negative, the lowest -0.1"
    for name in NEWTON:
        fact(w, "cell000r00", "n", name, None, why)
    (line,) = curvature.stationarity(context(w))
    assert line[4:] == ["indefinite"] * 3


def test_the_reading_counts_what_is_negative_hidden_and_damped() -> None:
    w = study(world.Arm("mlp"), estimators=("exact", "cg"))
    cell = "cell000r00"
    values = [-2e-3, -1e-4, 1e-9, 0.005, 0.02, 0.5, 1.0]
    spectrum(w, cell, "d", values)
    estimator(w, cell, "exact", 0.01)
    estimator(w, cell, "cg", 0.01)
    chart = spectra.chart(context(w))
    assert chart is not None
    assert chart.reading == (
        "Of 7 eigenvalues of mlp, 2 are negative, the lowest −0.00200; float32 would hide 1 in"
        " rounding; the damping of cg and exact, 0.01, exceeds 4 of them in size."
    )
    labels = [key.label for key in chart.keys]
    assert labels[:2] == ["eigenvalues", "negative"]
    assert {"damping of cg", "damping of exact"} <= set(labels)


def test_a_damping_of_a_matrix_that_was_not_kept_says_what_it_was_added_to() -> None:
    w = study(world.Arm("mlp"), estimators=("cg",))
    spectrum(w, "cell000r00", "d", [0.1, 1.0])
    estimator(w, "cell000r00", "cg", 0.01, "gauss_newton of last_layer")
    chart = spectra.chart(context(w))
    assert chart is not None
    labels = [key.label for key in chart.keys]
    assert "damping of cg, added to gauss_newton of last_layer" in labels


def test_each_arms_hessian_is_drawn_before_other_matrices() -> None:
    w = study(*(world.Arm("mlp", label=f"arm {k}") for k in range(4)))
    for k in range(4):
        spectrum(w, f"cell{k:03d}r00", "d", [0.1, 1.0])
        spectrum(w, f"cell{k:03d}r00", "e", [0.2, 1.0], matrix="gauss_newton of all parameters")
    chart = spectra.chart(context(w))
    assert chart is not None
    assert len(chart.panels) == spectra.PANELS
    assert [panel.note for panel in chart.panels].count(HESSIAN) == 4
    assert chart.notes[0] == "6 of 8 spectra are drawn: of each arm the Hessian's first."


def test_nodes_of_a_quadrature_are_counted_about() -> None:
    w = study(world.Arm("mlp"))
    spectrum(w, "cell000r00", "d", [-1.0, 0.5, 2.0], weights=np.array([10.4, 80.0, 9.6]))
    chart = spectra.chart(context(w))
    assert chart is not None
    assert chart.reading.startswith("Of 100 eigenvalues of mlp, about 10 are negative")


def test_the_placebos_distance_stands_beside_the_retrainings() -> None:
    w = study(world.Arm("mlp"))
    distance = world.names("trainings").index("distance")
    for place, row in enumerate(w.rows["trainings"]):
        moved = {"retraining": 0.4, "placebo": 0.1}.get(row[2])
        if moved:
            w.rows["trainings"][place] = (*row[:distance], moved, *row[distance + 1 :])
    (row,) = convergence.section(context(w)).data["retrainings"]
    assert row[-3:] == ["0.400", "0.100", "25\u202f%"]


def test_the_axis_is_logarithmic_on_both_sides() -> None:
    places = Signed(1e-4).place(np.array([-1e-2, -1e-4, -5e-5, 0, 5e-5, 1e-4, 1e-3, 1.0]))
    np.testing.assert_allclose(places, [-3, -1, -0.5, 0, 0.5, 1, 2, 5])


def test_the_axis_holds_rounding_and_damping() -> None:
    values = np.array([1e-3, 1.0])
    assert scale_of(values, []).zero == pytest.approx(1e-7)
    assert scale_of(values, [1e-9]).zero == pytest.approx(1e-9)
    # What is 0 to rounding lies in the middle.
    singular = np.array([1e-19, 0.1, 1.0])
    assert scale_of(singular, []).zero >= 1e-16


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [1e-30, 1.0], [-5.0, -1.0], [3.0], [-1e-3, 1e300], [1e-3] * 500]
)
def test_any_spectrum_is_drawn(values: list[float], page_of: PageOf) -> None:
    w = study(world.Arm("mlp"))
    spectrum(w, "cell000r00", "d", values)
    estimator(w, "cell000r00", "exact", 0.01)
    text = assert_sound(page_of(w.connection(), convergence.section))
    assert "The spectrum of the curvature" in text


def test_every_query_of_the_section_runs_on_its_own(page_of: PageOf) -> None:
    w = study(world.Arm("mlp"))
    spectrum(w, "cell000r00", "d", [0.1, 1.0])
    estimator(w, "cell000r00", "exact", 0.01)
    connection = w.connection()
    printed = printed_queries(page_of(connection, convergence.section))
    for query in (curved.MOVED, curved.DAMPINGS, curved.EFFECTIVE, curved.KEPT):
        assert query.sql in printed
    assert any("chosen(cell_id, matrix)" in sql for sql in printed)
    for sql in printed:
        connection.execute(sql).fetchall()
