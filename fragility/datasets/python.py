"""A dataset whose function the study names; only a run imports it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, PositiveInt

from fragility.datasets._arrays import example_array, label_array
from fragility.datasets._pixels import scaled
from fragility.datasets.base import Data, Dataset, Examples, Facts, Source, Task, facts
from fragility.errors import DataError, UsageError
from fragility.method import JSON
from fragility.own_code import CalledCode

PARTS = ("train", "test")


class Sizes(BaseModel):
    """What a plan must know of examples that it does not load."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: PositiveInt
    """Training examples as used: after the split, `subset` and `duplicates`."""
    test: PositiveInt
    """Test examples as used."""
    shape: tuple[PositiveInt, ...]
    """Shape of one example, as `[3, 32, 32]`."""
    outputs: PositiveInt
    """Classes, or numbers to predict."""


class Python(CalledCode, Dataset):
    """Arrays of yours, from a function beside the study or in an installed module.

    What `python` names is called as `load(**settings)` and returns a mapping with `x_train` and
    `y_train`, and where there is a test set of its own with `x_test` and `y_test`. Arrays are those
    of `npz`: unsigned 8-bit numbers (n, height, width), (n, channels, height, width) or (n, height,
    width, channels) are images and become numbers from 0 to 1, decimal numbers (n, ...) stay as
    they are; classes are whole numbers or texts, in order; numbers to predict are (n,) or (n, k).

    The file is read and hashed when the study is loaded, so that an edit computes anew, and it is
    imported by `fragility run --allow-code` alone: a plan needs `sizes`. Of a module the source
    file and the version of its package are hashed; what the code imports or reads from elsewhere is
    not, so that other data need other `settings`.

    Valid when: the function returns the same arrays every time; random numbers come from a
        generator that it seeds.
    Cost: the function's own; what it returns is held in memory.
    Reference: none.
    """

    kind: Literal["python"] = "python"
    python: str
    """The function: `file.py:name`, with a path below the study's folder, or
    `package.module:name`."""
    settings: Mapping[str, JsonValue] = {}
    """Its arguments, by name."""
    task: Task
    """Whether `y` are classes or numbers."""
    sizes: Sizes | None = None
    """How many examples of which shape, for a plan; a run checks it."""

    def identity(self) -> dict[str, JSON]:
        """Return the fields without `sizes`, which change no data."""
        return {name: value for name, value in super().identity().items() if name != "sizes"}

    def source_digest(self, directory: Path) -> str:
        """Return the empty string: the code's hash is among the fields."""
        return ""

    def outline(self, seed: int, directory: Path) -> Facts | None:
        """Return what `sizes` say, before a run has imported the function.

        Raises:
            DataError: they say nothing.
        """
        if self.known:
            return None
        if self.sizes is None:
            raise DataError(
                f"A plan does not run `{self.python}`, and needs to know how many examples of "
                "which shape there are.",
                "Write `sizes: {train: N, test: N, shape: [..], outputs: K}`, or "
                "`fragility run --allow-code`.",
            )
        sizes = self.sizes
        return Facts(sizes.train, sizes.test, sizes.shape, sizes.outputs, self.task)

    def load(self, seed: int, directory: Path) -> Data:
        """Return the examples as used.

        Raises:
            DataError: the function fails, or returns something else than it should.
        """
        data = super().load(seed, directory)
        found = facts(data)
        told = Sizes(
            train=found.n_train, test=found.n_test, shape=found.input_shape, outputs=found.outputs
        )
        if self.sizes not in (None, told):
            shape = ", ".join(map(str, told.shape))
            raise DataError(
                f"The examples of `{self.python}` are not those of `sizes`.",
                f"They are `{{train: {told.train}, test: {told.test}, shape: [{shape}], "
                f"outputs: {told.outputs}}}`.",
            )
        return data

    def read(self, seed: int, directory: Path) -> Source:
        """Return every example that the function returns."""
        arrays = self._arrays()
        own_test = "x_test" in arrays
        if own_test and (self.hold_out is not None or self.test_fraction is not None):
            raise DataError(
                f"`{self.python}` returns a test set of its own.",
                "Drop `hold_out` and `test_fraction`, or return `x_train` and `y_train` alone.",
            )
        inputs = {
            part: _inputs(example_array(arrays[f"x_{part}"], self.python, f"x_{part}"))
            for part in PARTS[: 1 + own_test]
        }
        targets, classes = self._targets(arrays, list(inputs))
        parts = {}
        for part, values in inputs.items():
            if len(values) != len(targets[part]) or not len(values):
                raise DataError(
                    f"`{self.python}` returns {len(values)} examples in `x_{part}` and "
                    f"{len(targets[part])} in `y_{part}`.",
                    "Give every example a label, and at least one of each.",
                )
            parts[part] = Examples(values, targets[part], np.arange(len(values)))
        if own_test and parts["train"].inputs.shape[1:] != parts["test"].inputs.shape[1:]:
            raise DataError(
                f"`{self.python}` returns training examples of shape "
                f"{parts['train'].inputs.shape[1:]} and test examples of shape "
                f"{parts['test'].inputs.shape[1:]}.",
                "Return both alike.",
            )
        columns = parts["train"].inputs.shape[1] if parts["train"].inputs.ndim == 2 else 0
        return Source(
            parts["train"],
            parts.get("test"),
            tuple(f"x{column}" for column in range(columns)),
            classes,
        )

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        try:
            found = self.call()
        except UsageError as error:
            raise DataError(error.message, error.hint) from error
        names = [f"{letter}_{part}" for part in PARTS for letter in "xy"]
        given = sorted(map(str, found)) if isinstance(found, Mapping) else None
        if given not in (sorted(names), sorted(names[:2])):
            what = f"a {type(found).__name__}" if given is None else f"a mapping of {given}"
            raise DataError(
                f"`{self.python}` returns {what}.",
                "It must return a mapping with `x_train` and `y_train`, and with `x_test` and "
                "`y_test` if it has a test set of its own.",
            )
        assert isinstance(found, Mapping)
        try:
            return {name: np.asarray(value) for name, value in found.items()}
        except Exception as error:
            # Tensors of a device or of a graph, and lists of unequal lengths.
            raise DataError(
                f"`{self.python}` returns what numpy makes no arrays of: {error}.",
                "Return numpy arrays.",
            ) from error

    def _targets(
        self, arrays: Mapping[str, NDArray[np.generic]], parts: list[str]
    ) -> tuple[dict[str, NDArray[np.generic]], tuple[str, ...]]:
        """Return each part's targets, and the class names in order."""
        if self.task == "regression":
            return {part: self._numbers(arrays[f"y_{part}"], f"y_{part}") for part in parts}, ()
        labels = [label_array(arrays[f"y_{part}"], self.python, f"y_{part}") for part in parts]
        classes, known = np.unique(np.concatenate(labels), return_inverse=True)
        starts = np.cumsum([len(values) for values in labels])[:-1]
        found = np.split(known.astype(np.int64), starts)
        return dict(zip(parts, found, strict=True)), tuple(str(label) for label in classes)

    def _numbers(self, values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
        if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
            raise DataError(
                f"`{self.python}`: `{name}` holds {values.dtype} of shape {values.shape}, not "
                "numbers to predict.",
                "Return (n,) or (n, k) of them, or set `task: classification`.",
            )
        numbers = values.astype(np.float64).reshape(len(values), -1)
        if not np.isfinite(numbers).all():
            raise DataError(
                f"`{self.python}`: `{name}` has values that are missing or not finite.",
                "Fill in or remove these examples; nothing is imputed.",
            )
        return numbers


def _inputs(values: NDArray[np.generic]) -> NDArray[np.floating]:
    if values.dtype == np.uint8:
        channels = values.shape[1]
        return scaled(values.astype(np.uint8), np.zeros(channels), np.ones(channels), 0)
    return values  # type: ignore[return-value]
