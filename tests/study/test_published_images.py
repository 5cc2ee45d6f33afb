"""Shipped studies of published experiments on images: their networks and reduced sizes."""

from __future__ import annotations

import re
import shlex

import pytest

from fragility.study.cells import cells
from fragility.study.load import load_study
from fragility.study.shipped import shipped_studies

MNIST, LENET, CIFAR = (1, 28, 28), (1, 32, 32), (3, 32, 32)
# Counted from the arrays and layers that the authors published.
PARAMETERS = {
    "mnist-fc": (MNIST, {795 * width + 10 for width in (8, 16, 32, 64, 128)}),
    "mnist-lenet": (LENET, {61_706}),
    "cifar-lenet": (CIFAR, {62_006}),
    "mnist-vgg": (LENET, {32_393_410}),
    "cifar-vgg": (CIFAR, {32_394_562}),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_sizes(name: str) -> None:
    shape, sizes = PARAMETERS[name]
    found = cells(load_study(f"epifano-2023/{name}", ["repeats=1"]))
    assert {cell.model.network(shape, 10).layout.size for cell in found} == sizes


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_reduced_size_in_the_head_comment_is_a_study(name: str) -> None:
    study = f"epifano-2023/{name}"
    head = shipped_studies()[study].read_text().split("\nstudy: ")[0]
    (lines,) = re.findall(r"#   (fragility run (?:.*\\\n)*.*)", head)
    _, run, subject, repeats, count, *rest = shlex.split(lines.replace("\\\n#", ""))
    assert (run, subject, repeats) == ("run", study, "--repeats")
    assert set(rest[::2]) == {"--set"}
    loaded = load_study(study, [f"repeats={count}", *rest[1::2]])
    assert loaded.study.repeats == int(count)
    assert loaded.overrides == (f"repeats={count}", *rest[1::2])
    assert len(cells(loaded)) < len(cells(load_study(study)))
