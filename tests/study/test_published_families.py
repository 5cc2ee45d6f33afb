"""The shipped studies of Epifano et al. on Iris against what the published scripts did."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fragility.estimators.exact import Exact
from fragility.models.mlp import MLP
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.references import load_reference
from fragility.regularizers.swa import SWA
from fragility.regularizers.weight_decay import WeightDecay
from fragility.study.cells import Cell, cells
from fragility.study.load import load_study

DEPTHS, WIDTHS = tuple(range(1, 9)), (8, 14, 20, 30, 40, 50)
STRENGTH = 0.005


@dataclass(frozen=True)
class Script:
    """What a family's scripts did; `damped` are the sizes at which H + 0.001 I was inverted.

    `deepest` is the activation of depth 8 where it is another, `seed` what `torch.manual_seed` got.
    """

    family: str
    sizes: tuple[int, ...] = DEPTHS
    decay: bool = True
    dropped: bool = False
    averages: bool = False
    activation: str = "selu"
    deepest: str | None = None
    seed: int | None = None
    retrained: str = "all"
    damped: tuple[int, ...] = ()


SCRIPTS = {
    "iris-depth": Script("figure1_l2_selu"),
    "iris-depth-no-l2": Script("figure1_nol2_selu", decay=False, dropped=True, damped=(4,)),
    "iris-depth-frozen": Script("figure1_l2_selu_frozen", retrained="last_layer"),
    "iris-depth-tanh": Script("figure1_l2_tanh", dropped=True, activation="tanh"),
    "iris-depth-tanh-no-l2": Script(
        "figure1_nol2_tanh", decay=False, dropped=True, activation="tanh"
    ),
    "iris-depth-tanh-goodseed": Script(
        "figure1_depth_tanh_goodseed",
        activation="tanh",
        deepest="selu",
        seed=14,
        retrained="last_layer",
    ),
    "iris-depth-swa": Script("figure1_depth_l2_selu_swa", dropped=True, averages=True),
    "iris-depth-no-l2-swa": Script(
        "figure1_depth_nol2_selu_swa",
        decay=False,
        dropped=True,
        averages=True,
        damped=(1, 2, 4, 7),
    ),
    "iris-width": Script("figure1_width_l2_selu", WIDTHS),
    "iris-width-no-l2": Script("figure1_width_nol2_selu", WIDTHS, decay=False),
    "iris-width-swa": Script("figure1_width_l2_selu_swa", WIDTHS, dropped=True, averages=True),
    "iris-width-no-l2-swa": Script(
        "figure1_width_nol2_selu_swa",
        WIDTHS,
        decay=False,
        dropped=True,
        averages=True,
        damped=(8,),
    ),
}


def arms(name: str) -> list[Cell]:
    """The first repeat of every setting."""
    return [cell for cell in cells(load_study(f"epifano-2023/{name}")) if cell.repeat == 0]


def parts(cell: Cell) -> tuple[object, ...]:
    return tuple(cell.regularization.members)


def size(cell: Cell) -> int:
    model = cell.model
    assert isinstance(model, MLP)
    return int(str(next(v for k, v in cell.factors.items() if k.startswith("models."))))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_published_side_is_that_of_its_scripts(name: str) -> None:
    script, found = SCRIPTS[name], arms(name)
    assert tuple(size(cell) for cell in found) == script.sizes
    for cell in found:
        model, estimator = cell.model, cell.estimators["published"]
        procedure = cell.procedures["published"]
        assert isinstance(model, MLP)
        assert isinstance(estimator, Exact)
        assert isinstance(procedure, LeaveOneOut)
        deepest = script.deepest if size(cell) == DEPTHS[-1] else None
        assert model.activation == (deepest or script.activation)
        assert model.first_seed == script.seed
        strengths = [part.strength for part in parts(cell) if isinstance(part, WeightDecay)]
        assert strengths == [STRENGTH] * script.decay
        averages = [part for part in parts(cell) if isinstance(part, SWA)]
        assert len(averages) == script.averages
        assert all((a.start, a.learning_rate, a.anneal) == (0.75, 1e-3, 0.1) for a in averages)
        assert (estimator.parameters, estimator.dtype) == ("last_layer_weight", "float32")
        assert not estimator.curvature_includes_regularization
        assert estimator.damping == (1e-3 if size(cell) in script.damped else 0)
        departures = estimator.departures
        assert departures.last_layer_bias == ("dropped" if script.dropped else "kept")
        # Each example's second derivatives, added in a loop; then, one training gradient after
        # another, `test_grad @ (H_inv @ train_grad)`.
        assert (departures.divisor, departures.summation) == (1, "by_example")
        assert departures.inverse == "times_train_gradients"
        assert (departures.sign, departures.shuffle_seed) == ("removal", None)
        assert (procedure.start, procedure.state, procedure.removal) == ("warm", "reset", "drop")
        assert (procedure.steps, procedure.parameters) == (7500, script.retrained)
        assert procedure.from_iterate == ("last" if script.averages else "average")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_corrected_side_is_about_one_thing(name: str) -> None:
    """Score and truth are about the last layer, under the same damping, and the mean is over n."""
    for cell in arms(name):
        estimator, procedure = cell.estimators["corrected"], cell.procedures["corrected"]
        assert isinstance(estimator, Exact)
        assert estimator.departures == type(estimator.departures)()
        assert estimator.dtype == "float64"
        assert estimator.curvature_includes_regularization
        assert (estimator.parameters, procedure.parameters) == ("last_layer", "last_layer")
        assert getattr(procedure, "damping", 0) == estimator.damping
        assert not procedure.drops


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_it_is_held_against_is_published(name: str) -> None:
    reference = load_study(f"epifano-2023/{name}").study.reference
    assert reference is not None
    (setting,) = reference.settings
    assert setting.family == f"IRIS/{SCRIPTS[name].family}"
    published = load_reference("epifano-2023").families[setting.family].settings
    known = {setting.named({**cell.factors}) for cell in arms(name)}
    assert set(published) <= known
