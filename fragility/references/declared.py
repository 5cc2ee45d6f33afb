"""What a study says of a reference: which of its arms is held against which published setting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue

SECTIONS = ("datasets", "models", "regularization", "training")
"""Sections of a study whose labels, beside swept paths, tell cells apart."""

Quantity = Literal["spearman", "pearson", "hessian_top_eigenvalue", "train_accuracy"]
QUANTITIES: tuple[Quantity, ...] = (
    "spearman",
    "pearson",
    "hessian_top_eigenvalue",
    "train_accuracy",
)
CORRELATIONS: tuple[Quantity, ...] = ("spearman", "pearson")

CellFacts = Mapping[str, JsonValue]
"""What a cell is known by: its label in each of `SECTIONS`, and its value of every swept path."""


def _some(found: tuple[Any, ...]) -> tuple[Any, ...]:
    # A least length would also be missed by a list whose only entry is wrong.
    if not found:
        raise ValueError("expected at least 1 entry, got none")
    return found


_BRACES = re.compile(r"\{([^{}]*)\}")
_CONFIG = ConfigDict(frozen=True, extra="forbid")


class ReferenceSetting(BaseModel):
    """A published setting, or one for each of several arms, and the arms it is held against."""

    model_config = _CONFIG

    family: str
    """The published family of experiments, as `fragility describe reference NAME` lists them."""
    setting: str
    """The published setting; `{models.mlp.depth}` in it stands for the cell's value of a swept
    path, `{models}` for the cell's label in a section."""
    where: Mapping[str, JsonValue] = {}
    """The cells that are meant: labels of `datasets`, `models`, `regularization` and `training`,
    and swept paths, each with a value or a list of values; without the key, all cells."""
    estimator: str | None = None
    """Label of the estimator; may be left out where the study has one."""
    procedure: str | None = None
    """Label of the procedure; may be left out where the study has one."""
    quantities: Annotated[tuple[Quantity, ...], AfterValidator(_some)] = QUANTITIES
    """What is compared, where both sides have it."""
    absolute: bool = True
    """Whether correlations are compared by size, as published; `false` keeps their sign."""

    def placeholders(self) -> list[str]:
        """Returns every section and swept path that the published setting's name asks for."""
        return _BRACES.findall(self.setting)

    def named(self, facts: CellFacts) -> str | None:
        """Returns the published setting of a cell, None for a cell that is not meant."""
        for key, wanted in self.where.items():
            if key not in facts or not _among(facts[key], wanted):
                return None
        if not all(key in facts for key in self.placeholders()):
            return None
        return _BRACES.sub(lambda match: as_text(facts[match[1]]), self.setting)


class StudyReference(BaseModel):
    """Published numbers that the study is held against."""

    model_config = _CONFIG

    name: str
    """The reference, as `fragility list references` lists them."""
    settings: Annotated[tuple[ReferenceSetting, ...], AfterValidator(_some)]
    """Published settings, and the cells that are held against each."""


def as_text(value: JsonValue) -> str:
    """Returns a swept value as it stands in the name of a setting."""
    return value if isinstance(value, str) else json.dumps(value)


def _among(value: JsonValue, wanted: JsonValue) -> bool:
    return value == wanted or (isinstance(wanted, list) and value in wanted)
