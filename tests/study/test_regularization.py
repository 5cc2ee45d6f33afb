"""Regularization as one method or as a list of several, in a study's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fragility.errors import StudyError
from fragility.plan.compile import compile_study
from fragility.plan.summary import summarize
from fragility.regularizers.dropout import Dropout
from fragility.regularizers.weight_decay import WeightDecay
from fragility.study.cells import cells
from fragility.study.load import LoadedStudy, load_text

STUDY = """\
study: regular
datasets: {data: DATA}
models: {net: MODEL}
regularization:
  both: BOTH
training: {full: {kind: full_batch, steps: 5}}
procedures:
  last:
    kind: leave_one_out
    parameters: last_layer
    train_points: {kind: random, count: 2}
    test_points: {kind: all}
"""
DIGITS = "{kind: digits, subset: {train: 60, test: 4}}"
MLP = "{kind: mlp, hidden: [6, 5]}"


def load(both: str, data: str = DIGITS, model: str = MLP, more: str = "") -> LoadedStudy:
    text = STUDY.replace("BOTH", both).replace("DATA", data).replace("MODEL", model)
    return load_text(text + more, Path("study.yaml"))


def notes(loaded: LoadedStudy) -> tuple[str, ...]:
    return summarize(compile_study(loaded), frozenset(), None).notes


def test_a_list_acts_together() -> None:
    (cell,) = cells(load("[{kind: dropout, rate: 0.2}, {kind: weight_decay, strength: 0.1}]"))
    assert cell.regularization.members == (Dropout(rate=0.2), WeightDecay(strength=0.1))
    assert len(cell.regularization.departures) == 1


def test_order_and_form_are_no_part_of_an_identity() -> None:
    decay, dropout = "{kind: weight_decay, strength: 0.1}", "{kind: dropout, rate: 0.2}"

    def trained(both: str) -> str:
        return compile_study(load(both)).cells[0].train_id

    assert trained(decay) == trained(f"[{decay}]")
    assert trained(f"[{decay}, {dropout}]") == trained(f"[{dropout}, {decay}]")
    assert trained(decay) != trained(f"[{decay}, {dropout}]")


def test_a_member_can_be_swept_by_its_place() -> None:
    found = cells(
        load(
            "[{kind: dropout, rate: 0.2}, {kind: weight_decay, strength: 0.1}]",
            more="sweep: {regularization.both.0.rate: [0.1, 0.5]}\n",
        )
    )
    assert [cell.regularization.members[0] for cell in found] == [
        Dropout(rate=0.1),
        Dropout(rate=0.5),
    ]


@pytest.mark.parametrize(
    ("both", "column", "path", "message"),
    [
        ("[{kind: dropout, rat: 0.1}]", 26, "regularization.both.0.rat", "`rate`?"),
        ("[{kind: l2}]", 17, "regularization.both.0.kind", "unknown regularizer `l2`"),
        ("[{kind: none}, {kind: l1, strength: 1}]", 9, "regularization.both", "stands alone"),
        ("[{kind: swa}, {kind: swa}]", 9, "regularization.both", "`swa` is there twice"),
        ("[]", 9, "regularization.both", "at least 1 entry"),
        ("{kind: weight_decay, coupled: false, strength: 1, parameters: weights}", 24, "", "all"),
    ],
)
def test_problems_stand_at_the_member_they_are_of(
    both: str, column: int, path: str, message: str
) -> None:
    with pytest.raises(StudyError) as caught:
        load(both)
    problem = caught.value.problems[-1]
    assert message in problem.message
    assert problem.line == 5
    if path:
        assert (problem.path, problem.column) == (path, column)


@pytest.mark.parametrize(
    "member",
    [
        "{kind: dropout, rate: 0.1}",
        "{kind: swa}",
        "{kind: gradient_clipping, norm: 1}",
        "{kind: early_stopping, patience: 3}",
        "{kind: weight_decay, strength: 0.1, coupled: false}",
    ],
)
def test_what_changes_single_steps_is_refused_where_there_are_none(member: str) -> None:
    for optimizer in ("{kind: lbfgs}",):
        text = STUDY.replace("BOTH", f"[{member}]").replace("DATA", DIGITS).replace("MODEL", MLP)
        text = text.replace("steps: 5", f"steps: 5, optimizer: {optimizer}")
        with pytest.raises(StudyError, match="changes single steps") as caught:
            load_text(text, Path("study.yaml"))
        assert caught.value.problems[0].line == 5


def test_what_needs_images_or_classes_says_so() -> None:
    with pytest.raises(StudyError, match="is for images"):
        compile_study(load("[{kind: augmentation, flip: true}]", data="{kind: iris}"))
    with pytest.raises(StudyError, match="is for classification"):
        compile_study(load("{kind: label_smoothing, rate: 0.1}", data="{kind: diabetes}"))
    with pytest.raises(StudyError, match="masks hidden affine layers"):
        compile_study(load("{kind: dropout, rate: 0.1}", model="{kind: linear}"))


def test_the_plan_says_what_noise_does_to_a_frozen_prefix() -> None:
    plain = notes(load("{kind: weight_decay, strength: 0.1}"))
    assert plain == (
        "last, net: the frozen prefix runs once a base model; retrainings see its 5 features",
    )
    # Masks follow both hidden layers, so that the prefix ends before the first of them.
    assert notes(load("{kind: dropout, rate: 0.5}")) == (
        "last, net: the frozen prefix runs once a base model; retrainings see its 6 features; "
        "what follows is masked at random",
    )


def test_augmented_images_have_no_cached_prefix(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (24, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(24) % 3
    parts = {"x_train": images, "y_train": labels, "x_test": images[:6], "y_test": labels[:6]}
    np.savez(tmp_path / "images.npz", **parts)
    data = f"{{kind: npz, path: {tmp_path / 'images.npz'}}}"
    found = load("{kind: augmentation, crop: 1}", data=data)
    (note,) = notes(found)
    assert note == (
        "last, net: every retraining step runs the whole network, because images change at random"
    )
