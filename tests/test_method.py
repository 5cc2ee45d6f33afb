"""Methods and rooms."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ValidationError

from fragility import method
from fragility.errors import UsageError
from fragility.estimators import ESTIMATORS, Estimator
from fragility.method import Method, Room, canonical, kind_of
from fragility.metrics import METRICS
from fragility.models import MODELS, Model
from fragility.regularizers import REGULARIZERS
from fragility.training.schedules import SCHEDULES


class Inner(Method):
    kind: Literal["inner"] = "inner"
    value: float = 1


class Outer(Method):
    revision: ClassVar[int] = 4
    kind: Literal["outer"] = "outer"
    inner: Inner = Inner()
    pair: tuple[int, ...] = (1, 2)
    table: dict[str, float] | None = None


def test_the_identity_is_every_field_and_the_revision_at_every_level() -> None:
    assert Outer(table={"a": 2}).identity() == {
        "revision": 4,
        "kind": "outer",
        "inner": {"revision": 1, "kind": "inner", "value": 1.0},
        "pair": [1, 2],
        "table": {"a": 2.0},
    }


class Grown(Inner):
    added: ClassVar[frozenset[str]] = frozenset({"later"})
    later: str = "as before"


@pytest.mark.parametrize("room", [REGULARIZERS, SCHEDULES])
def test_what_is_called_added_is_a_field_with_a_default(room: Room[Any]) -> None:
    for one in room.methods.values():
        for name in one.added:
            assert not one.model_fields[name].is_required()


def test_a_field_that_came_later_is_no_part_of_the_identity_until_it_says_something() -> None:
    assert Grown().identity() == Inner().identity()
    assert Grown(later="as before").identity() == Inner().identity()
    assert Grown(later="otherwise").identity() == {**Inner().identity(), "later": "otherwise"}


class Part(BaseModel):
    added: ClassVar[frozenset[str]] = frozenset({"later"})
    early: int = 1
    later: str = "as before"


def test_what_came_later_in_a_part_of_a_method_is_left_out_likewise() -> None:
    assert canonical(Part()) == {"early": 1}
    assert canonical({"part": Part(later="otherwise")}) == {
        "part": {"early": 1, "later": "otherwise"}
    }


def test_methods_are_frozen_and_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Inner().value = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Inner.model_validate({"kind": "inner", "valu": 1})
    assert hash(Inner(value=1)) == hash(Inner(value=1.0))


def test_canonical_is_plain_json() -> None:
    class Plain(BaseModel):
        value: int = 3

    assert canonical({1: (None, True, 2.5, "x"), "method": Inner(), "model": Plain()}) == {
        "1": [None, True, 2.5, "x"],
        "method": {"revision": 1, "kind": "inner", "value": 1.0},
        "model": {"value": 3},
    }


def test_a_room_holds_every_public_module_in_order() -> None:
    assert list(MODELS.methods) == sorted(MODELS.methods)
    assert {"linear", "mlp"} <= set(MODELS.methods)
    assert list(METRICS.methods) == sorted(METRICS.methods)
    assert "pearson" in METRICS.methods
    for room in (MODELS, METRICS, ESTIMATORS):
        for kind, cls in room.methods.items():
            assert kind_of(cls) == kind
            assert cls.__doc__


def test_a_third_partys_method_joins_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        asked.append(group)
        return [
            EntryPoint("theirs", "tests.test_method:Theirs", group),
            EntryPoint("no-method", "tests.test_method:NOT_A_METHOD", group),
        ]

    monkeypatch.setattr(method, "entry_points", entry_points)
    room: Room[Estimator] = Room("estimators", Estimator, "fragility.estimators")
    assert asked == []
    assert list(room.methods) == sorted([*ESTIMATORS.methods, "theirs"])
    assert asked == ["fragility.estimators"]

    class Study(BaseModel):
        estimator: Annotated[Estimator, room]

    chosen = Study.model_validate({"estimator": {"kind": "theirs", "depth": 2}}).estimator
    assert chosen.identity() == {"revision": 1, "kind": "theirs", "depth": 2}
    with pytest.raises(ValidationError, match="theirs"):
        Study.model_validate({"estimator": {"kind": "other"}})


class Theirs(Estimator):
    """An estimator from another package."""

    kind: Literal["theirs"] = "theirs"
    depth: int = 1

    def estimate(self, model: Any, test_points: Any) -> Any:
        raise NotImplementedError


NOT_A_METHOD = "something else"


class Exact(Theirs):
    """An estimator that takes another's name."""

    kind: Literal["exact"] = "exact"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tests.test_method:Exact", "`tests.test_method:Exact` is a second `exact` among the est"),
        ("tests.no_such:Exact", "`tests.no_such:Exact` cannot be imported: ModuleNotFoundError"),
        ("tests.test_method:Nothing", "cannot be imported: AttributeError: module 'tests.test_m"),
    ],
)
def test_what_a_third_party_breaks_is_said_to_be_theirs(
    value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("theirs", value, group)]

    monkeypatch.setattr(method, "entry_points", entry_points)
    with pytest.raises(UsageError) as error:
        _ = Room("estimators", Estimator, "fragility.estimators").methods
    assert message in str(error.value)


def test_a_field_of_a_room_reads_the_class_that_its_kind_names() -> None:
    class Study(BaseModel):
        model: Annotated[Model, MODELS]

    found = Study.model_validate({"model": {"kind": "mlp", "hidden": [2]}}).model
    assert type(found) is MODELS.methods["mlp"]
    with pytest.raises(ValidationError, match="kind"):
        Study.model_validate({"model": {"hidden": [2]}})
