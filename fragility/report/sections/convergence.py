"""The model: whether base models and retrainings stand where the theory needs them to."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.report import curvature, spectra
from fragility.report.context import Context, natural, spread
from fragility.report.figures.norms import Norms, norms
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.source import Row
from fragility.report.text import MISSING, count, interval, number, percent, plural, whole
from fragility.store import curvature_queries as curved
from fragility.store import report_queries as ask

ROWS = 16


def section(context: Context) -> Section:
    """Returns base models, retrainings and spectra."""
    base = _sorted(context.source.ask(ask.BASE_MODELS))
    truth = _sorted(context.source.ask(ask.RETRAININGS))
    data = {
        "models": [_model(context, row) for row in base],
        "departures": context.source.ask(ask.DEPARTURES),
        "stationarity": curvature.stationarity(context),
        "retrainings": [_retraining(context, row) for row in truth],
        "spectrum": spectra.chart(context),
        "curvatures": curvature.curvatures(context),
        "chart": _chart(context, base, truth) if truth else None,
        "tables": [
            data_table(context.source.fetch(query))
            for query in (
                ask.BASE_MODELS,
                ask.DEPARTURES,
                ask.DIAGNOSTICS,
                curved.EFFECTIVE,
                curved.MOVED,
            )
        ],
    }
    return Section("convergence", "Model: convergence and curvature", data)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (natural(row["arm"]), natural(row.get("procedure"))))


def _model(context: Context, row: Row) -> list[str]:
    norm = number(row["grad_norm"])
    if row["models"] > 1:
        norm += f" {interval(row['grad_norm_min'], row['grad_norm_max'])}"
    return [
        context.arm_label(row["arm"]),
        count(row["models"]),
        _share(row["converged"], row["judged"], row["models"]),
        whole(row["steps"]),
        norm,
        number(row["train_loss"]),
        number(row["test_loss"]),
        percent(row["train_accuracy"]),
        percent(row["test_accuracy"]),
        whole(row["parameters"]),
        whole(row["n_train"]),
    ]


def _retraining(context: Context, row: Row) -> list[str]:
    return [
        context.procedure_label(row["arm"], row["procedure"]),
        count(row["retrainings"]),
        _share(row["converged"], row["judged"], row["retrainings"]),
        count(row["diverged"]),
        f"{whole(row['steps'])} (most {whole(row['steps_max'])})",
        number(row["grad_norm"]),
        *curvature.moved(context).get((row["arm"], row["procedure"]), (MISSING,) * 3),
    ]


def _share(done: int, judged: int, total: int) -> str:
    if not judged:
        return "no stopping rule"
    return "all" if done == total else f"{count(done)} ({percent(done / total)})"


def _chart(context: Context, base: Sequence[Row], truth: Sequence[Row]) -> Chart:
    of_arm = {row["arm"]: row["grad_norm"] for row in base}
    shown = spread(truth, ROWS)
    rows = [
        Norms(
            context.procedure_label(row["arm"], row["procedure"]),
            row["lowest"],
            row["lower_quartile"],
            row["grad_norm"],
            row["upper_quartile"],
            row["highest"],
            of_arm.get(row["arm"]),
        )
        for row in shown
    ]
    title = "Gradient norms where retrainings ended"
    notes = []
    if len(shown) < len(truth):
        notes.append(f"{len(shown)} of {len(truth)} rows are drawn, evenly spaced.")
    keys = [
        Key("retrainings: median, quartiles, range", "ink", "dot"),
        Key("base models: median", "ink", "diamond"),
    ]
    panel = Panel(norms(rows, name="norms", title=title))
    tables = [data_table(context.source.fetch(q)) for q in (ask.RETRAININGS, ask.BASE_MODELS)]
    return Chart("convergence-norms", title, [panel], _reading(truth), tables, keys, notes)


def _reading(truth: Sequence[Row]) -> str:
    total = sum(row["retrainings"] for row in truth)
    judged = sum(row["judged"] for row in truth)
    converged = sum(row["converged"] for row in truth)
    diverged = sum(row["diverged"] for row in truth)
    stopped = (
        f"{count(converged)} of {plural(total, 'retraining')} met their stopping rule"
        if judged
        else f"{plural(total, 'retraining')} had no stopping rule to meet"
    )
    known = [row["grad_norm"] for row in truth if row["grad_norm"] is not None]
    medians = (
        f"; median gradient norms lie between {number(min(known))} and {number(max(known))}"
        if len(known) > 1
        else ""
    )
    return f"{stopped}, {count(diverged)} diverged{medians}."
