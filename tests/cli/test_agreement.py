import math

import pytest

from fragility.cli.agreement import render

ARM = {"arm": "iris / mlp", "estimator": "exact", "procedure": "warm"}
MATCH = {**ARM, "score_parameters": "all", "truth_parameters": "all", "mismatch": None}


def row(metric: str, value: float | None, **columns: object) -> dict[str, object]:
    return {
        **ARM,
        "metric": metric,
        "value": value,
        "ci_low": None,
        "ci_high": None,
        "deviation": None,
        "defined": 0 if value is None else 1,
        "chance": None,
        "ceiling": None,
        **columns,
    }


def test_one_line_an_arm() -> None:
    rows = [
        row("pearson", 0.9962, ci_low=0.9951, ci_high=0.9973, ceiling=0.93),
        row("spearman", -0.784, ci_low=-0.83, ci_high=0.05),
        row("slope", 1.337),
    ]
    table = render(rows, [MATCH])
    assert table.splitlines() == [
        "  arm         estimator  procedure  Pearson            Spearman"
        "          slope  ceiling  target",
        "  iris / mlp  exact      warm       0.996 [.995,.997]  -0.78 [-.83,.05]"
        "  1.34   0.93     same parameters",
    ]


def test_an_absolute_metric_has_its_column_with_what_chance_gives() -> None:
    other = {**ARM, "arm": "wine / mlp"}
    rows = [
        row("spearman", -0.31),
        row("|spearman|", 0.31, ci_low=0.05, ci_high=0.6, chance=0.1641),
        {**row("spearman", 0.2), **other},
        {**row("|spearman|", None), **other},
    ]
    header, first, second = render(rows, [MATCH]).splitlines()
    assert header.split()[3:6] == ["Pearson", "Spearman", "|Spearman|"]
    assert " -0.31     0.31 [.05,.60] chance 0.16 " in first
    assert second.split()[-4:] == ["0.20", "-", "-", "-"]


def test_values_without_a_value_are_dashes() -> None:
    assert render([row("pearson", None)], [MATCH]).splitlines()[1].split()[5:] == [
        *"----",
        "same",
        "parameters",
    ]


def test_over_repeats_the_interval_is_students() -> None:
    line = render([row("pearson", 0.5, deviation=0.1, defined=2)], [MATCH]).splitlines()[1]
    # t(0.975, 1 degree of freedom) = 12.706
    half = 12.706 * 0.1 / math.sqrt(2)
    # No correlation is above 1.
    assert f"0.50 [{-(half - 0.5):.2f},1.00]".replace("-0.", "-.") in line


def test_a_mismatch_of_targets_is_said() -> None:
    other = {**MATCH, "score_parameters": "last_layer", "mismatch": "yes"}
    assert "MISMATCH: score last_layer, truth all" in render([row("pearson", 0.5)], [other])


def test_many_arms_fold() -> None:
    rows = [{**row("pearson", 0.5), "arm": f"arm {i}"} for i in range(30)]
    lines = render(rows, []).splitlines()
    assert len(lines) == 1 + 24 + 1
    assert lines[-1] == "  and 6 arms more in the report"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.99996, "0.99996"), (1.0, "1.00"), (0.996, "0.996"), (0.5, "0.50"), (1.999, "2.00")],
)
def test_nothing_below_one_reads_as_one(value: float, words: str) -> None:
    assert f" {words} " in render([row("pearson", value)], [MATCH]).splitlines()[1]


def test_nothing_measured_is_no_table() -> None:
    assert render([], []) == ""
