"""The metrics of a study: which are there by default, and which may stand side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.errors import StudyError
from fragility.metrics import METRICS
from fragility.study.load import load_study
from fragility.study.model import Study
from tests.study.studies import STUDY


def load(tmp_path: Path, *overrides: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return load_study(str(path), list(overrides)).study


def test_without_the_key_there_are_all_but_the_costly_ones(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("metrics: [pearson, {kind: slope}]\n", ""))
    found = [metric.label for metric in load_study(str(path), []).study.metrics]
    costly = {"within_sign", "theil_sen", "theil_sen_intercept"}
    assert found == [kind for kind in METRICS.methods if kind not in costly]


def test_a_signed_and_an_absolute_metric_may_stand_side_by_side(tmp_path: Path) -> None:
    both = "metrics=[spearman, {kind: spearman, absolute: true}, theil_sen]"
    assert [metric.label for metric in load(tmp_path, both).metrics] == [
        "spearman",
        "|spearman|",
        "theil_sen",
    ]


@pytest.mark.parametrize(
    ("metrics", "label"),
    [
        ("{kind: spearman, absolute: true}, spearman, {kind: spearman, absolute: true}",
         "|spearman|"),
        ("spearman, {kind: spearman, absolute: false}", "spearman"),
        ("top_k_precision, {kind: top_k_precision, k: 5}", "top_k_precision"),
    ],
)  # fmt: skip
def test_a_label_is_there_once(tmp_path: Path, metrics: str, label: str) -> None:
    with pytest.raises(StudyError) as error:
        load(tmp_path, f"metrics=[{metrics}]")
    assert [problem.message for problem in error.value.problems] == [f"`{label}` is there twice."]
