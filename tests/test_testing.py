"""The conformance suite: every estimator passes, and every way of being broken is caught."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from pydantic import ConfigDict, Field, PlainSerializer

from fragility.errors import MethodFailure
from fragility.estimators import ESTIMATORS, Estimate, Estimator
from fragility.estimators.exact import Exact
from fragility.estimators.kfac import KFAC
from fragility.estimators.lissa import LiSSA
from fragility.testing import (
    assert_documented,
    assert_identity,
    assert_untouched,
    check_estimator,
)
from fragility.testing.problems import general_problems, planted

FIELDS: dict[str, dict[str, Any]] = {
    # The labels that it draws otherwise are too few for the unit to show.
    "kronfluence": {"empirical_fisher": True},
    # Its thousand steps are for worse conditioned problems.
    "lissa": {"depth": 40},
}
FLAGS: dict[str, dict[str, bool]] = {
    "embedding_similarity": {"signed": False, "unit": False},
    "grad_cos": {"unit": False},
    "random": {"signed": False, "unit": False, "order_matters": True},
}
WITHOUT_SETTINGS = [
    kind
    for kind, method in ESTIMATORS.methods.items()
    if not any(f.is_required() for f in method.model_fields.values())
]


@pytest.mark.parametrize("kind", WITHOUT_SETTINGS)
def test_every_estimator_keeps_the_laws(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = ESTIMATORS.methods[kind]
    # Kronfluence collects garbage ten times a call.
    monkeypatch.setattr("gc.collect", lambda generation=2: 0)
    check_estimator(method(**FIELDS.get(kind, {})), **FLAGS.get(kind, {}))


@pytest.mark.parametrize(
    ("estimator", "flags"),
    [
        (Exact(parameters="last_layer_weight", damping=0.1, curvature="empirical_fisher"), {}),
        (Exact(ensemble=3, dtype="float32"), {}),
        (Exact(groups="second_order"), {}),
        (KFAC(labels="sampled"), {"order_matters": True}),
        (LiSSA(depth=20, batch_size=12, scale=6.0), {"order_matters": True}),
    ],
)
def test_the_laws_hold_for_other_fields(estimator: Estimator, flags: dict[str, bool]) -> None:
    check_estimator(estimator, **flags)


def test_only_estimators_that_name_another_need_settings() -> None:
    assert set(ESTIMATORS.methods) - set(WITHOUT_SETTINGS) == {"python", "untrained"}


def test_the_models_are_where_the_laws_suppose_them() -> None:
    """Convex problems end at their optimum, as torch's own derivative has it."""
    for problem in (*general_problems()[:2], planted(general_problems()[1], True)):
        model = problem.trained
        theta = model.vector(model.network.layout).requires_grad_()
        loss = model.losses_at(model.network.layout, theta, model.inputs, model.targets).mean()
        (gradient,) = torch.autograd.grad(loss + 0.5 * theta.square().sum(), theta)
        assert float(gradient.norm()) < 1e-5


class Sound(Exact):
    """Exact scores by another name.

    Valid when: always.
    Cost: none.
    Reference: none.
    """

    kind: Literal["sound"] = "sound"  # type: ignore[assignment]

    def estimate(self, model: Any, test_points: Any) -> Estimate:
        return self.bent(super().estimate(model, test_points), model)

    def bent(self, found: Estimate, model: Any) -> Estimate:
        return found


def bending(bent: Callable[[Estimate, Any], Estimate]) -> Sound:
    """An estimator that does something else with what it has found."""

    class Bending(Sound):
        __doc__ = Sound.__doc__

        def estimate_together(self, models: Any, test_points: Any) -> Estimate:
            return self.estimate(models[0], test_points)

        def bent(self, found: Estimate, model: Any) -> Estimate:
            return bent(found, model)

    return Bending()


def scoring(change: Callable[[torch.Tensor, Any], torch.Tensor]) -> Sound:
    return bending(lambda found, model: Estimate(change(found.scores, model)))


def doing(act: Callable[[Any], object]) -> Sound:
    return bending(lambda found, model: (act(model), found)[1])


def test_the_sound_one_is_sound() -> None:
    check_estimator(Sound())
    check_estimator(doing(lambda model: None))


SCORES: dict[str, tuple[Callable[[torch.Tensor, Any], torch.Tensor], str]] = {
    "wrong sign": (lambda s, m: -s, "duplicated.*score must be positive, and is -"),
    "blind to labels": (lambda s, m: s.abs(), "flipped.*score must be negative, and is"),
    "without 1/n": (lambda s, m: s * m.n, "must be half of those with every example once"),
    "with 1/n twice": (lambda s, m: s / m.n, "must be half of those with every example once"),
    "transposed": (lambda s, m: s.T, r"shape \(5, 24\), test points by.* have \(24, 5\)"),
    "summed": (lambda s, m: s.sum(dim=0), r"have \(24,\)"),
    "whole numbers": (lambda s, m: (100 * s).long(), "floating numbers, and are torch.int64"),
    "nan": (lambda s, m: s.where(s < s.max(), torch.nan), "1 of 120 scores are not finite"),
    "graph": (lambda s, m: s.requires_grad_(), "scores hold a graph"),
    "by place of the test point": (
        lambda s, m: s - s.mean(dim=0),
        r"test points \[3, 0, 2\] must be those rows of all.* differ by .* largest is",
    ),
    "by place of the training example": (
        lambda s, m: s * torch.linspace(0.9, 1, s.shape[1]),
        "must follow the training examples into another order",
    ),
    "global random numbers": (
        lambda s, m: s + 1e-9 * torch.randn(s.shape),
        "two calls must give the same bits, and differ by",
    ),
    "numpy's random numbers": (lambda s, m: s * np.random.rand(), "must give the same bits"),
    "Python's random numbers": (lambda s, m: s * random.random(), "must give the same bits"),
}


@pytest.mark.parametrize("name", SCORES)
def test_broken_scores_are_caught(name: str) -> None:
    change, told = SCORES[name]
    with pytest.raises(AssertionError, match=told):
        check_estimator(scoring(change))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("wrong sign", {"signed": False}),
        ("without 1/n", {"unit": False}),
        ("by place of the training example", {"order_matters": True}),
    ],
)
def test_a_law_can_be_left_out_where_it_has_no_meaning(name: str, flags: dict[str, bool]) -> None:
    check_estimator(scoring(SCORES[name][0]), **flags)


@pytest.mark.parametrize("name", ["without 1/n", "with 1/n twice"])
def test_drawing_by_position_does_not_excuse_the_unit(name: str) -> None:
    with pytest.raises(AssertionError, match=SCORES[name][1]):
        check_estimator(scoring(SCORES[name][0]), order_matters=True)


def first(model: Any) -> torch.Tensor:
    found: torch.Tensor = next(iter(model.parameters.values()))
    return found


def module(model: Any) -> torch.nn.Module:
    found: torch.nn.Module = model.network.module
    return found


EFFECTS: dict[str, tuple[Callable[[Any], object], Callable[[Any], object], str]] = {
    "parameters": (
        lambda m: first(m).add_(0.25),
        lambda m: first(m).sub_(0.25),
        "has changed the parameter `1.weight`",
    ),
    "inputs": (
        lambda m: m.inputs.mul_(2),
        lambda m: m.inputs.div_(2),
        "has changed the training inputs",
    ),
    "module": (
        lambda m: next(module(m).parameters()).data.add_(0.25),
        lambda m: next(module(m).parameters()).data.sub_(0.25),
        "has changed the module's `1.weight`",
    ),
    "training mode": (
        lambda m: module(m).train(),
        lambda m: module(m).eval(),
        "has changed `training` of a module",
    ),
    "requires_grad": (
        lambda m: first(m).requires_grad_(),
        lambda m: first(m).requires_grad_(False),
        "has changed `requires_grad` of a tensor",
    ),
    "hook": (
        lambda m: module(m).register_forward_hook(lambda *given: None),
        lambda m: module(m)._forward_hooks.clear(),
        "has changed hooks of a module",
    ),
    "torch's random state": (
        lambda m: torch.rand(1),
        lambda m: None,
        "has changed torch's global random state",
    ),
    "numpy's random state": (
        lambda m: np.random.rand(),
        lambda m: None,
        "has changed numpy's global random state",
    ),
    "Python's random state": (
        lambda m: random.random(),
        lambda m: None,
        "has changed Python's global random state",
    ),
    "gradient mode": (
        lambda m: torch.set_grad_enabled(False),
        lambda m: torch.set_grad_enabled(True),
        "has changed the gradient mode",
    ),
    "default dtype": (
        lambda m: torch.set_default_dtype(torch.float64),
        lambda m: torch.set_default_dtype(torch.float32),
        "has changed torch's default dtype",
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_besides_the_scores_are_caught(name: str) -> None:
    act, undo, told = EFFECTS[name]
    problem = general_problems()[0]
    try:
        with pytest.raises(AssertionError, match=told):
            assert_untouched(doing(act), problem)
    finally:
        undo(problem.trained)
    assert_untouched(Sound(), problem)


@pytest.mark.parametrize(
    ("diagnostics", "by_test_point", "told"),
    [
        ({"steps": float("nan")}, {}, "diagnostic `steps` must be a finite number.* is nan"),
        ({"steps": "many"}, {}, "diagnostic `steps` must be a finite number.* is 'many'"),
        ({}, {"residual": torch.zeros(4)}, "`residual` must be a finite number for each of 5"),
        ({}, {"residual": torch.full((5,), torch.inf)}, "`residual` must be a finite number"),
    ],
)
def test_facts_that_are_no_numbers_are_caught(
    diagnostics: dict[str, Any], by_test_point: dict[str, Any], told: str
) -> None:
    with pytest.raises(AssertionError, match=told):
        check_estimator(
            bending(lambda found, model: Estimate(found.scores, diagnostics, by_test_point))
        )


class OfGroups(Sound):
    """Groups score the mean of their members.

    Valid when: never.
    Cost: none.
    Reference: none.
    """

    kind: Literal["of_groups"] = "of_groups"  # type: ignore[assignment]
    own: bool = False
    """Whether it says so."""

    @property
    def scores_groups(self) -> bool:
        return self.own

    def estimate_groups(self, models: Any, test_points: Any, groups: Any) -> Estimate:
        points = self.estimate(models[0], test_points).scores
        return Estimate(torch.stack([points[:, group].mean(dim=1) for group in groups], dim=1))


def test_groups_that_are_not_sums_are_caught() -> None:
    with pytest.raises(AssertionError, match="the score of a group must be the sum of its memb"):
        check_estimator(OfGroups())
    check_estimator(OfGroups(own=True))


class Forgiving(Sound):
    """Scores for every model, good or bad.

    Valid when: never.
    Cost: none.
    Reference: none.
    """

    kind: Literal["forgiving"] = "forgiving"  # type: ignore[assignment]

    def estimate(self, model: Any, test_points: Any) -> Estimate:
        try:
            return super().estimate(model, test_points)
        except MethodFailure:
            return Estimate(torch.zeros(len(test_points), model.n))


def test_scores_of_a_diverged_model_are_caught() -> None:
    with pytest.raises(AssertionError, match=r"parameters are NaN must be a MethodFailure.*0 of 1"):
        check_estimator(Forgiving())


def refusing(where: Callable[[Any], bool], failure: MethodFailure) -> Sound:
    def bent(found: Estimate, model: Any) -> Estimate:
        if where(model):
            raise failure
        return found

    return bending(bent)


def test_an_estimator_may_refuse_and_must_say_what_to_try() -> None:
    one_task = refusing(lambda m: m.loss.name == "squared_error", MethodFailure("No.", "Wait."))
    check_estimator(one_task)
    no_hint = refusing(lambda m: m.loss.name == "squared_error", MethodFailure("No."))
    with pytest.raises(AssertionError, match=r"on least squares: MethodFailure has no hint.*No\."):
        check_estimator(no_hint)
    with pytest.raises(AssertionError, match="answers neither classification nor regression"):
        check_estimator(refusing(lambda m: True, MethodFailure("No.", "Wait.")))
    with pytest.raises(
        AssertionError, match=r"example twice: there must be an answer here too.*No\."
    ):
        check_estimator(refusing(lambda m: m.n == 48, MethodFailure("No.", "Wait.")))


class Undocumented(Exact):
    """Scores. And more of them."""

    kind: Literal["Not a word"]  # type: ignore[assignment]
    depth: int = 1


class WithoutKind(Exact):
    """Scores."""

    kind: str = "any"  # type: ignore[assignment]


def test_an_undocumented_class_is_told_all_that_is_missing() -> None:
    with pytest.raises(AssertionError) as error:
        assert_documented(Undocumented)
    for told in (
        "`Undocumented` is not documented",
        "`Not a word` is not a word",
        "its kind has no default",
        "one sentence, not with `Scores. And more of them.`",
        "no `Valid when: ...`",
        "no `Cost: ...`",
        "no `Reference: ...`",
        "no docstring below its field `depth`",
    ):
        assert told in str(error.value)
    with pytest.raises(AssertionError, match="it has no `kind: Literal"):
        assert_documented(WithoutKind)


class Leaving(Sound):
    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind}


class Unspeakable(Sound):
    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "damping": float("nan")}


class Unhashable(Sound):
    rates: list[float] = Field(default=[0.1])


class Thawed(Sound):
    model_config = ConfigDict(frozen=False)

    def __hash__(self) -> int:
        return 1


class Lossy(Sound):
    depth: Annotated[int, PlainSerializer(lambda depth: depth + 1)] = 1


class Illegible(Sound):
    depth: Annotated[int, PlainSerializer(lambda depth: f"{depth} steps")] = 1


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        (Leaving(), r"identity\(\) leaves out .*damping"),
        (Unspeakable(), r"identity\(\) is not plain JSON: Out of range"),
        (Unhashable(), "must be hashable, but: unhashable type: 'list'. Use tuples"),
        (Thawed(), "must be frozen"),
        (Lossy(), 'read from its own .*"depth":2.* is another'),
        (Illegible(), "does not read its own"),
    ],
)
def test_fields_that_a_study_cannot_rely_on_are_caught(estimator: Estimator, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        assert_identity(estimator)
