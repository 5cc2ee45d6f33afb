"""An estimator whose class the study names; only a run imports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import JsonValue, PositiveInt, TypeAdapter, ValidationError
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators.base import Estimate, Estimator
from fragility.numerics.network import ParameterSet
from fragility.numerics.trained import TrainedModel
from fragility.own_code import OwnCode

T = TypeVar("T")
_PARAMETERS: TypeAdapter[ParameterSet | None] = TypeAdapter(ParameterSet)
_ENSEMBLE: TypeAdapter[int] = TypeAdapter(PositiveInt)


class Python(OwnCode, Estimator):
    """An estimator of yours, from a file beside the study or from an installed module.

    The file is read and hashed when the study is loaded, so that an edit computes anew, and it is
    imported by `fragility run --allow-code` alone. Of a module the source file and the version of
    its package are hashed; what the code imports from elsewhere is not.

    Valid when: the class's own documentation says.
    Cost: the class's own.
    Reference: the class's own.
    """

    kind: Literal["python"] = "python"
    python: str
    """The class: `file.py:Name`, with a path below the study's folder, or `package.module:Name`."""
    settings: Mapping[str, JsonValue] = {}
    """Fields of the class; checked when a run has imported it."""

    @property
    def scored(self) -> ParameterSet | None:
        """The `parameters` among the settings; None where they say nothing."""
        return self._setting("parameters", _PARAMETERS, None)

    @property
    def models(self) -> int:
        """The `ensemble` among the settings, 1 where they say nothing."""
        return self._setting("ensemble", _ENSEMBLE, 1)

    @property
    def scores_groups(self) -> bool:
        """Whether the settings have `groups` other than `sum`, as influence functions can."""
        return self.settings.get("groups", "sum") != "sum"

    def _setting(self, name: str, adapter: TypeAdapter[T], default: T) -> T:
        # What the class says of a wrong value is told when it is imported.
        try:
            return adapter.validate_json(json.dumps(self.settings[name]), strict=True)
        except (KeyError, ValidationError):
            return default

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Raises MethodFailure: a run puts the class itself in this one's place."""
        raise MethodFailure(
            f"`{self.python}` is not imported.", "Use `fragility run --allow-code`."
        )
