"""The shipped numbers are the published ones: against the paper's figures, and array by array."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from fragility.errors import UsageError
from fragility.references import Published, PublishedSetting, load_reference, reference_names

BESIDE = Path(__file__).parents[3] / "shared" / "reference" / "epifano-2023.json"
ARRAYS = Path(os.environ.get("FRAGILITY_ARRAYS", BESIDE))
"""The authors' arrays, converted; they lie beside the checkout where it is developed."""

NAMES = {
    "spearman": "spearman",
    "pearson": "pearson",
    "eig": "hessian_top_eigenvalue",
    "train": "train_accuracy",
}
L2, NO_L2 = "IRIS/figure1_l2_selu", "IRIS/figure1_nol2_selu"


@pytest.fixture
def published() -> Published:
    return load_reference("epifano-2023")


def values(published: Published, family: str, setting: str, quantity: str) -> np.ndarray:
    found = published.families[family].settings[setting].values[quantity]
    return np.array([value for value in found if value is not None])


def test_means_are_those_the_paper_draws(published: Published) -> None:
    # The means behind figures 1 and 3.
    sizes = [0.703, 0.552, 0.565, 0.549, 0.492, 0.451, 0.446, 0.447]
    eigenvalues = [1.5, 4.9, 9.2, 12.0, 14.9, 19.7, 22.6, 24.1]
    for depth, (size, eigenvalue) in enumerate(zip(sizes, eigenvalues, strict=True), start=1):
        setting = f"depth_{depth}"
        spearman = values(published, L2, setting, "spearman")
        assert abs(spearman).mean() == pytest.approx(size, abs=5e-4)
        top = values(published, L2, setting, "hessian_top_eigenvalue")
        assert top.mean() == pytest.approx(eigenvalue, abs=0.06)
    pooled = [values(published, NO_L2, f"depth_{d}", "spearman") for d in range(1, 9)]
    assert abs(np.concatenate(pooled)).mean() == pytest.approx(0.229, abs=5e-4)


def test_small_networks_on_mnist_have_the_opposite_sign(published: Published) -> None:
    for width, size in (("8", 0.745), ("32", 0.798), ("128", 0.808)):
        found = values(published, "MNIST/results/small_fullycon", width, "spearman")
        assert abs(found).mean() == pytest.approx(size, abs=5e-4)
        assert (found < 0).all()


def every(published: Published) -> Iterator[tuple[str, str, PublishedSetting]]:
    for family, one in published.families.items():
        for name, setting in one.settings.items():
            yield family, name, setting


@pytest.mark.skipif(not ARRAYS.is_file(), reason="the authors' arrays are not beside the checkout")
def test_every_value_is_that_of_the_arrays(published: Published) -> None:
    arrays = json.loads(ARRAYS.read_text())
    for family, name, setting in every(published):
        source = arrays[family][name.removesuffix("_first40")]
        if family.startswith("IRIS"):
            expected = {new: source[old]["values"] for old, new in NAMES.items() if old in source}
        else:
            pairs = setting.pairs
            sides = zip(source["est_loss_diffs"], source["true_loss_diffs"], strict=True)
            cut = [(a[:pairs], b[:pairs]) for a, b in sides]
            expected = {
                "spearman": [spearmanr(a, b).statistic for a, b in cut],
                "pearson": [pearsonr(a, b).statistic for a, b in cut],
            }
            assert pairs in (40, len(source["est_loss_diffs"][0]))
        for quantity, runs in setting.values.items():
            wanted = [math.nan if v is None else v for v in expected.pop(quantity)]
            ours = [math.nan if v is None else v for v in runs]
            np.testing.assert_allclose(ours, wanted, rtol=1e-6, atol=1e-12)
        # Accuracies that are means over other models are left out, nothing else.
        assert set(expected) <= ({"train_accuracy"} if "tanh" in family else set())


@pytest.mark.skipif(not ARRAYS.is_file(), reason="the authors' arrays are not beside the checkout")
def test_no_setting_is_missing(published: Published) -> None:
    arrays = json.loads(ARRAYS.read_text())
    unexplained = {"_meta", "MNIST/results"}
    assert {f for f, one in published.families.items() if one.settings} == set(arrays) - unexplained
    for family, one in published.families.items():
        here = {name for name in one.settings if not name.endswith("_first40")}
        assert here == set(arrays.get(family, {}))


def test_the_pairs_of_figure_4_are_those_of_the_run_it_draws(published: Published) -> None:
    (run,) = published.runs
    values = published.families[run.family].settings[run.setting].values
    # The text of the figure says 0.85; its points have another correlation, and a sign.
    assert spearmanr(run.scores, run.effects).statistic == pytest.approx(-0.760, abs=5e-4)
    assert pearsonr(run.scores, run.effects).statistic == pytest.approx(-0.836, abs=5e-4)
    assert values["spearman"][run.run] == pytest.approx(
        spearmanr(run.scores, run.effects).statistic, abs=1e-6
    )
    if ARRAYS.is_file():
        source = json.loads(ARRAYS.read_text())[run.family][run.setting]
        np.testing.assert_allclose(run.scores, source["est_loss_diffs"][run.run], rtol=1e-6)
        np.testing.assert_allclose(run.effects, source["true_loss_diffs"][run.run], rtol=1e-6)


def test_a_family_that_is_held_back_is_known(published: Published) -> None:
    assert published.families["IRIS/figure1_width_l2_selu"].settings == {}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert reference_names() == ["epifano-2023"]
    with pytest.raises(UsageError, match="Did you mean `epifano-2023`"):
        load_reference("epifano-2022")


def test_listing_needs_no_torch() -> None:
    program = (
        "import sys; from fragility.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    for words in (["list", "references"], ["describe", "reference", "epifano-2023"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
        )
        assert "Revisiting the fragility of influence functions" in done.stdout
        assert done.stdout.endswith("False\n"), words
