"""Shipped studies of published experiments on images: their networks and reduced sizes."""

from __future__ import annotations

import re
import shlex

import pytest

from fragility.estimators import Estimator
from fragility.study.cells import cells
from fragility.study.load import load_study
from fragility.study.shipped import shipped_studies

MNIST, LENET, CIFAR = (1, 28, 28), (1, 32, 32), (3, 32, 32)
# Counted from the arrays and layers that the authors published.
PARAMETERS = {
    "mnist-fc": (MNIST, {795 * width + 10 for width in (8, 16, 32, 64, 128)}),
    "mnist-lenet": (LENET, {61_706}),
    "cifar-lenet": (CIFAR, {62_006}),
    # Twice LeNet's, less 2,700 variances of the weights of 22 filters, each of which has one.
    "mnist-bnn-lenet": (LENET, {2 * 61_706 - 150 - 2_400 + 22}),
    "mnist-vgg": (LENET, {32_393_410}),
    "cifar-vgg": (CIFAR, {32_394_562}),
}


# Of a reduced size themselves: what is swept, and the published widths or network at full size.
REVISITED = {"revisited-mnist-fc": "mnist-fc", "revisited-mnist-lenet": "mnist-lenet"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_sizes(name: str) -> None:
    shape, sizes = PARAMETERS[name]
    found = cells(load_study(f"epifano-2023/{name}", ["repeats=1"]))
    assert {cell.model.network(shape, 10).layout.size for cell in found} == sizes


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_reduced_size_in_the_head_comment_is_a_study(name: str) -> None:
    overrides = in_the_head(name)
    loaded = load_study(f"epifano-2023/{name}", overrides)
    assert loaded.overrides == tuple(overrides)
    assert len(cells(loaded)) < len(cells(load_study(f"epifano-2023/{name}")))


@pytest.mark.parametrize(("name", "as_published"), REVISITED.items())
def test_the_full_size_in_the_head_comment_is_the_published_one(
    name: str, as_published: str
) -> None:
    full = cells(load_study(f"epifano-2023/{name}", in_the_head(name)))
    published = cells(load_study(f"epifano-2023/{as_published}"))
    assert len(full) == 16 * len(published)
    for one in ("dataset", "model", "regularization", "training"):
        assert {getattr(cell, one) for cell in full} == {getattr(cell, one) for cell in published}
    assert {cell.estimators["published"] for cell in full} == {
        cell.estimators["published"] for cell in published
    }


@pytest.mark.parametrize("name", REVISITED)
def test_the_swept_score_goes_from_as_published_to_mended_one_field_at_a_time(name: str) -> None:
    found = cells(load_study(f"epifano-2023/{name}", ["repeats=1"]))
    rows = {model: [c for c in found if c.model == model] for model in {c.model for c in found}}
    for row in rows.values():
        scores = [fields(cell.estimators["score"]) for cell in row]
        published = fields(row[0].estimators["published"])
        assert {cell.estimators["published"] for cell in row} == {row[0].estimators["published"]}
        assert {key for key in published if published[key] != scores[0][key]} <= {"sign"}
        assert [moved(scores[0], scores[2**axis]) for axis in range(4)] == [1] * 4
        assert moved(scores[0], scores[-1]) == 4
        # What no departure is left of: the sign is the definition's, the order the data set's.
        left = {"norm_tolerance", "damping_times_scale", "result", "shuffle_seed", "sign"}
        named = row[-1].estimators["score"].model_dump()["departures"]
        assert {key: value for key, value in named.items() if key in left} == {
            "norm_tolerance": published["norm_tolerance"],
            "damping_times_scale": False,
            "result": "last",
            "shuffle_seed": None,
            "sign": "removal",
        }


def in_the_head(name: str) -> list[str]:
    """Returns the overrides of the command that a study's head comment prints."""
    study = f"epifano-2023/{name}"
    head = shipped_studies()[study].read_text().split("\nstudy: ")[0]
    (lines,) = re.findall(r"#   (fragility run (?:.*\\\n)*.*)", head)
    _, run, subject, repeats, count, *rest = shlex.split(lines.replace("\\\n#", ""))
    assert (run, subject, repeats) == ("run", study, "--repeats")
    assert set(rest[::2]) == {"--set"}
    return [f"repeats={count}", *rest[1::2]]


def fields(estimator: Estimator) -> dict[str, object]:
    """Returns an estimator's fields, departures among them."""
    named = estimator.model_dump()
    return {**named.pop("departures"), **named}


def moved(one: dict[str, object], other: dict[str, object]) -> int:
    """Returns how many fields differ."""
    return sum(one[key] != other[key] for key in one)
