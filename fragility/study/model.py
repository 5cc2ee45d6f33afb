"""The study: what a YAML file asks, with every method resolved to its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
    Tag,
)
from pydantic_core import CoreSchema

from fragility.datasets import DATASETS, Dataset
from fragility.diagnostics import DIAGNOSTICS, Diagnostic
from fragility.estimators import ESTIMATORS, Estimator
from fragility.method import Method, Room
from fragility.metrics import METRICS, Metric
from fragility.models import MODELS, Model
from fragility.procedures import PROCEDURES, Procedure
from fragility.protocols import PROTOCOLS, Protocol
from fragility.references.declared import StudyReference
from fragility.regularizers import REGULARIZERS, Regularizer
from fragility.training import TRAINING, Training

LABEL = "[A-Za-z0-9][A-Za-z0-9_-]*"

Label = Annotated[str, StringConstraints(pattern=f"^{LABEL}$", max_length=80)]
"""A name given by the study's author; it stands in dotted paths, tables and file names."""

Sweep = Mapping[str, Annotated[list[JsonValue], Field(min_length=1)]]
"""Dotted paths with the values each takes."""


class _Named:
    """Lets a method without settings be written as its kind alone."""

    def __init__(self, room: Room[Any]) -> None:
        self.room = room

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.room.methods)}, handler(schema)]}


def _written_out(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _all_of(room: Room[Any]) -> Callable[[], tuple[Any, ...]]:
    """Returns the default of a list of methods: all of the room that need no settings."""

    def default() -> tuple[Method, ...]:
        return tuple(
            method.model_validate({"kind": kind})
            for kind, method in room.methods.items()
            if not any(
                field.is_required() and name != "kind"
                for name, field in method.model_fields.items()
            )
        )

    return default


def _usual_metrics() -> tuple[Metric, ...]:
    """Returns the default list of metrics: those that need no settings and cost little."""
    return tuple(metric for metric in _all_of(METRICS)() if metric.by_default)


def _no_regularization() -> dict[str, Regularizer]:
    return {"none": REGULARIZERS.methods["none"].model_validate({"kind": "none"})}


def _each_once(written: tuple[Regularizer, ...]) -> tuple[Regularizer, ...]:
    kinds = [one.kind for one in written]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise ValueError(f"`{twice}` is there twice")
    if "none" in kinds and len(kinds) > 1:
        raise ValueError("`none` stands alone")
    return written


def _written_as(value: Any) -> str:
    return "list" if isinstance(value, (list, tuple)) else "one"


OneOrMore = Annotated[
    Annotated[Annotated[Regularizer, REGULARIZERS], Tag("one")]
    | Annotated[
        tuple[Annotated[Regularizer, REGULARIZERS], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
        Tag("list"),
    ],
    Discriminator(_written_as),
]
"""A regularizer, or a list of them."""


class Study(BaseModel):
    """What is asked: datasets, models, regularization, training, estimators and procedures.

    Where a value is swept, the study holds the first of its values; the cells hold the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Label
    """Name of the study; runs, reports and comparisons go by it."""
    title: str = ""
    """Title of the report."""
    question: str = ""
    """What the study asks, in one sentence; the report opens with it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed from which every other seed is derived."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """How often each setting is run, each time with other initial values and draws."""
    controls: bool = True
    """Before the study, run the shipped studies whose outcome is known, into the same store; the
    report prints how they came out before any verdict."""
    datasets: Annotated[Mapping[Label, Annotated[Dataset, DATASETS]], Field(min_length=1)]
    """Datasets by label; every one is crossed with every model."""
    models: Annotated[Mapping[Label, Annotated[Model, MODELS]], Field(min_length=1)]
    """Models by label."""
    regularization: Annotated[Mapping[Label, OneOrMore], Field(min_length=1)] = Field(
        default_factory=_no_regularization
    )
    """Regularizers by label, each one or a list of several that act together; without the key,
    `none`."""
    training: Annotated[Mapping[Label, Annotated[Training, TRAINING]], Field(min_length=1)]
    """Ways to train the base model, by label."""
    estimators: Mapping[Label, Annotated[Estimator, ESTIMATORS]] = {}
    """Estimators by label; all are evaluated on the same base model."""
    procedures: Mapping[Label, Annotated[Procedure, PROCEDURES]] = {}
    """Validation procedures by label; each estimator is compared with each."""
    metrics: tuple[
        Annotated[Metric, METRICS, BeforeValidator(_written_out), _Named(METRICS)], ...
    ] = Field(default_factory=_usual_metrics)
    """Measures of agreement, by name or with settings; without the key, all but the costly ones."""
    protocols: tuple[
        Annotated[Protocol, PROTOCOLS, BeforeValidator(_written_out), _Named(PROTOCOLS)], ...
    ] = ()
    """Published protocols under which stored truths are scored again, by name or with settings."""
    equivalence_margin: Annotated[float, Field(gt=0, lt=2)] = 0.1
    """Correlations that differ by less count as equivalent; declared before anything is run. The
    report says of a factor that it makes no difference only within this margin."""
    reference: StudyReference | None = None
    """Published numbers that the run is held against; the report and `fragility compare` say where
    they agree, by rules written down before."""
    diagnostics: tuple[
        Annotated[Diagnostic, DIAGNOSTICS, BeforeValidator(_written_out), _Named(DIAGNOSTICS)], ...
    ] = Field(default_factory=_all_of(DIAGNOSTICS))
    """Facts about trained models to record, by name or with settings; without the key, all."""
    sweep: Sweep | tuple[Sweep, ...] = {}
    """Values to vary: a mapping crosses its lists; in a list of mappings, the lists of one mapping
    vary together and the mappings are crossed."""
