"""Whatever the text, loading either works or says what is wrong."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fragility.errors import StudyError
from fragility.study.cells import Cell, cells
from fragility.study.load import load_study, load_text
from fragility.study.rendering import render
from tests.study.studies import STUDY

FULL = STUDY + "sweep:\n  models.mlp.depth: [1, 2]\n  regularization.l2.strength: [0.1, 1]\n"
PIECES = [
    *"[]{}:,-#&*!|>'\"%@`?\t\n ~.",
    ": ",
    "- ",
    "<<: ",
    "&a ",
    "*a",
    "!!python/name:os.system ",
    "null",
    "true",
    "1e999",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "kind",
    "mlp",
    "exact",
    "models.mlp.depth",
    "{}",
    "[]",
    "é",
    "日本",
    "\u2028",
    "\x85",
    "\ufeff",
    "\ud800",
    "\x00",
    "\x1b[31m",
    "---\n",
    "x" * 300,
]
quickly = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def outcome(text: str, *overrides: str) -> list[Cell] | StudyError:
    try:
        return cells(load_text(text, Path("study.yaml"), overrides))
    except StudyError as error:
        return error


def survives(text: str, *overrides: str) -> None:
    found = outcome(text, *overrides)
    if isinstance(found, list):
        assert found
        return
    assert found.problems
    for problem in found.problems:
        assert problem.message
        assert "\n" not in problem.located("study.yaml")
        assert 0 <= problem.line <= len(text.splitlines()) + 1
    render(found).encode()


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = FULL
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 0, 1, 2, 8, 60])))
        text = text[:begin] + draw(st.sampled_from(PIECES)) + text[end:]
    return text


@st.composite
def reordered(draw: st.DrawFn) -> str:
    lines = FULL.splitlines()
    picked = draw(st.lists(st.sampled_from(lines), min_size=1, max_size=30))
    indents = [draw(st.sampled_from(["", "", "", "  ", "    "])) for _ in picked]
    return "\n".join(indent + line for indent, line in zip(indents, picked, strict=True))


@st.composite
def exchanged(draw: st.DrawFn) -> str:
    """Words of the study at each other's places: valid YAML, seldom a valid study."""
    words = ["iris", "mlp", "linear", "weight_decay", "full_batch", "adam", "exact", "warm"]
    words += ["leave_one_out", "top_score", "all", "25", "0.005", "[83]", "tanh", "{}", "null"]
    text = FULL
    for _ in range(draw(st.integers(1, 5))):
        old = draw(st.sampled_from([word for word in words if word in text]))
        text = text.replace(old, draw(st.sampled_from(words)), draw(st.sampled_from([1, -1])))
    return text


@quickly
@given(mutated())
def test_mutations(text):
    survives(text)


@quickly
@given(reordered())
def test_lines_out_of_place(text):
    survives(text)


@quickly
@given(exchanged())
def test_words_out_of_place(text):
    survives(text)


@quickly
@given(st.text(max_size=200))
def test_any_text(text):
    survives(text)


@quickly
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_bytes(data)
    with pytest.raises(StudyError):
        load_study(str(path))


PATHS = """
    repeats models.mlp.depth models.mlp models sweep.models.mlp.depth sweep kind study a..b .
    training.adam.optimizer.kind datasets.iris.hold_out.0 metrics.0 estimators.exact.damping
    procedures.warm.train_points.estimator
"""


@quickly
@given(
    st.sampled_from(PATHS.split()),
    st.one_of(st.sampled_from(PIECES), st.text(max_size=30), st.integers().map(str)),
)
def test_overrides(path, value):
    survives(FULL, f"{path}={value}")


def test_every_prefix():
    for end in random.Random(0).sample(range(len(FULL)), 150):
        survives(FULL[:end])
