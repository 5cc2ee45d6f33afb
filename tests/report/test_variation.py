"""Shares of variation on planted agreements and on stored pairs, and designs without an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fragility.report import specification
from fragility.report.context import Context
from fragility.report.sections import specification as curve
from fragility.report.sections.variation import section
from fragility.report.variation import ESTIMATOR, MODEL, PROCEDURE, of_arms, of_specifications
from tests.report import truths, world
from tests.report.conftest import PageOf
from tests.report.planted import agreements
from tests.report.test_page import assert_sound

PROCEDURES = ("cold", "pbrf", "warm")
ESTIMATORS = ("cg", "exact")
MODELS = ("linear", "mlp", "wide")
NOISE = 0.03
EFFECTS = {"cold": -0.12, "pbrf": 0.12, "warm": 0.0, "cg": -0.05, "exact": 0.05,
           "linear": 0.02, "mlp": -0.02, "wide": 0.0}  # fmt: skip


def planted(setting: dict[str, Any], estimator: str, procedure: str, repeat: int) -> list[float]:
    key = [list(EFFECTS).index(name) for name in (procedure, estimator, setting["model"])]
    noise = NOISE * np.random.default_rng([repeat, *key]).normal()
    return [0.5 + EFFECTS[procedure] + EFFECTS[estimator] + EFFECTS[setting["model"]] + noise]


def expected() -> np.ndarray:
    """Shares of the procedures, estimators, models and repeats as planted."""
    groups = [[EFFECTS[name] for name in names] for names in (PROCEDURES, ESTIMATORS, MODELS)]
    variances = np.array([*(np.var(effects) for effects in groups), NOISE**2])
    return variances / variances.sum()


def study(repeats: int = 12, **settings: Any) -> Context:
    full = {"estimators": ESTIMATORS, "procedures": PROCEDURES, "models": MODELS}
    return agreements([{}], planted, repeats=repeats, **(full | settings))


def test_planted_shares_are_found() -> None:
    found = of_arms(study(40), "spearman").decomposition
    assert found is not None
    shares = [found.total(group) for group in (PROCEDURE, ESTIMATOR, MODEL)] + [found.residual]
    assert [share.value for share in shares] == pytest.approx(expected(), abs=0.02)
    assert all(s.low <= e <= s.high for s, e in zip(shares, expected(), strict=True))


def test_the_sentence_names_the_share_of_the_procedure() -> None:
    context = study()
    data = section(context).data
    found = of_arms(context, "spearman").decomposition
    total = found.total(PROCEDURE)
    said = f"{100 * total.value:.0f} % [{100 * total.low:.0f}, {100 * total.high:.0f}]"
    assert (
        data["lead"][1]
        .replace("\u00a0", " ")
        .startswith(
            f"{said} of the variation in Spearman correlation comes from the validation procedure, "
        )
    )
    assert data["chart"].reading.startswith(
        "The validation procedure has the largest share of all choices; interactions between"
    )
    assert data["chart"].notes[0] == (
        "Pearson, as declared and Spearman, as declared: 3 ways to validate × 2 estimators × 3"
        " settings of model and data × 12 repeats, 216 numbers."
    )


def test_shares_whose_intervals_overlap_are_not_ordered() -> None:
    def values(setting: dict[str, Any], estimator: str, procedure: str, repeat: int) -> list[float]:
        noise = 0.1 * np.random.default_rng([repeat, len(procedure), len(estimator)]).normal()
        return [0.05 * (procedure == "warm") + 0.05 * (estimator == "cg") + noise]

    judges = {"estimators": ESTIMATORS, "procedures": ("cold1", "warm")}
    context = agreements([{}], values, repeats=6, **judges)
    reading = section(context).data["chart"].reading
    assert "this study does not order them" in reading


def test_swept_fields_belong_to_the_part_they_are_of() -> None:
    def values(setting: dict[str, Any], estimator: str, procedure: str, repeat: int) -> list[float]:
        numbers = [int(10 * value) for name, value in setting.items() if name != "model"]
        noise = 0.01 * np.random.default_rng([repeat, *numbers]).normal()
        return [0.5 + 0.1 * setting["procedures.warm.steps"] + noise]

    swept = [
        {"procedures.warm.steps": steps, "estimators.exact.damping": damping, "models.m.depth": d}
        for steps in (1, 2) for damping in (0.1, 0.2) for d in (1, 2)
    ]  # fmt: skip
    context = agreements(swept, values, repeats=6)
    found = of_arms(context, "pearson")
    assert found.levels == {PROCEDURE: 2, ESTIMATOR: 2, MODEL: 2}
    assert found.decomposition.total(PROCEDURE).value > 0.9


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"repeats": 1}, "with one repeat, what choices change cannot be told from"),
        ({"repeats": 3}, "3 repeats are too few for an interval"),
        (
            {"estimators": ("exact",), "procedures": ("warm",)},
            "there is one validation procedure and one estimator, and nothing to set model and"
            " data against",
        ),
        (
            {"skip": lambda s, e, p, r: (s["model"], p) == ("mlp", "pbrf")},
            "2 of 18 combinations of validation procedure x estimator x model and data are empty",
        ),
    ],
)
def test_it_is_withheld_with_the_reason(settings: dict[str, Any], reason: str) -> None:
    data = section(study(**settings)).data
    assert data["lead"] == []
    assert data["chart"] is None
    titles, said = data["withheld"][0]
    assert titles == "Pearson, as declared and Spearman, as declared"
    assert reason in said


def test_mismatched_targets_do_not_count() -> None:
    """As a fourth procedure would, far from the others."""

    def values(setting: dict[str, Any], estimator: str, procedure: str, repeat: int) -> list[float]:
        return [-0.9] if procedure == "zero" else planted(setting, estimator, procedure, repeat)

    mismatch = {"zero": "score all, truth last_layer"}
    context = agreements(
        [{}], values, repeats=6, estimators=ESTIMATORS, procedures=(*PROCEDURES, "zero"),
        models=MODELS, mismatch=mismatch,
    )  # fmt: skip
    assert of_arms(context, "spearman") == of_arms(study(6), "spearman")
    said = section(context).data["left_out"]
    assert said == "Not counted, because of a target mismatch with others, zero."
    context = study(6, mismatch=dict.fromkeys(PROCEDURES, "score all, truth last_layer"))
    assert of_arms(context, "spearman") == of_arms(study(6), "spearman")
    assert "all are counted" in section(context).data["left_out"]


def test_all_reasons_are_named_at_once() -> None:
    (_, said), *_ = section(study(2, estimators=("exact",), procedures=("warm",))).data["withheld"]
    assert "2 repeats are too few" in said
    assert "; and there is one validation procedure and one estimator" in said


def pairs(repeats: int = 6, noise: float = 0.5) -> Context:
    """Two models whose effects follow the scores, one of them less; nothing else is varied."""
    filled = None
    for arm, less in (("linear", 0.2), ("mlp", 1.5)):
        shape = (repeats, 6, 40)
        scores = truths.draws(1, shape)
        one, two = (
            scores + size * truths.draws(seed, shape) for seed, size in ((2, less), (3, noise))
        )
        declared = {"cold": truths.Truth("cold", two[:, None]),
                    "warm": truths.Truth("warm", one[:, None])}  # fmt: skip
        filled = truths.measured(scores, declared, arm=arm, into=filled)
    for number, (name, columns) in enumerate(filled.blocks):
        if name == "effects":
            _tested(filled, columns, number)
    return truths.context(filled)


def _tested(filled: world.World, columns: dict[str, Any], number: int) -> None:
    for test in np.unique(columns["test_point"]):
        filled.row(
            "points",
            cell_id=columns["cell_id"][0],
            procedure=columns["procedure"][0],
            split="test",
            point=int(test),
            role="all",
            loss=0.1 + 0.01 * int(test),
        )


def test_specifications_are_shared_out_too() -> None:
    context = pairs()
    query, _ = specification.pairs_of(context, specification.subjects(context))
    stored = specification.by_cell(context.source.columns(query))
    found = of_specifications(context, stored)
    # 2 procedures; 4 rules for test points and one pooled; 5 for removals; 2 metrics.
    assert found.levels == {PROCEDURE: 2 * (4 + 1) * 5 * 2, ESTIMATOR: 1, MODEL: 2}
    assert found.values == 100 * 2 * 6
    assert found.decomposition is not None
    data = section(context).data
    assert "of the variation in the correlation over all specifications" in data["lead"][-1]


def test_the_page_shows_it_with_its_queries(page_of: PageOf) -> None:
    context = study(6)
    html = page_of(context.source._connection, curve.section, section)
    text = assert_sound(html)
    assert "Where the variation comes from" in text
    assert "FROM summaries s JOIN cells c USING (cell_id)" in text
    assert text.index("Specification curve") < text.index("Where the variation comes from")
