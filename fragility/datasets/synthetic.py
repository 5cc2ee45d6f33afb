"""Examples drawn from a known distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from fragility.datasets.base import Dataset, Examples, Source, Task
from fragility.identity import derive_seed

ONLY_FOR: dict[str, tuple[Task, str]] = {
    "n_classes": ("classification", "drop it"),
    "n_redundant": ("classification", "drop it"),
    "clusters_per_class": ("classification", "drop it"),
    "class_separation": ("classification", "drop it"),
    "noise": ("regression", "use `label_noise`"),
}


class Synthetic(Dataset):
    """Made-up examples: normal clusters around the corners of a cube, or a linear function.

    Drawn anew for every seed, so repeats differ in their data as well. Features that are neither
    informative nor redundant are noise. Columns are shuffled: which are informative is not told.

    Valid when: always.
    Cost: n times n_features numbers.
    Reference: scikit-learn's make_classification (I. Guyon, NIPS 2003 feature selection benchmark)
    and make_regression.
    """

    revision: ClassVar[int] = 2
    kind: Literal["synthetic"] = "synthetic"
    task: Task = "classification"
    """Clusters with class labels, or a linear function of the informative features."""
    n: Annotated[int, Field(ge=2)] = 200
    """Examples drawn, training and test set together."""
    test_n: PositiveInt | None = None
    """How many of them are the test set; instead of `test_fraction`."""
    n_features: PositiveInt = 10
    """Columns."""
    n_informative: PositiveInt = 5
    """Columns on which the target depends."""
    n_redundant: NonNegativeInt = 0
    """Classification: columns that are linear combinations of informative ones."""
    n_classes: Annotated[int, Field(ge=2)] = 2
    """Classification: classes, about equally frequent."""
    clusters_per_class: PositiveInt = 1
    """Classification: corners of the cube a class is spread over."""
    class_separation: PositiveFloat = 1.0
    """Classification: half the cube's edge, in standard deviations within a cluster."""
    noise: NonNegativeFloat = 0.0
    """Regression: standard deviation of the normal noise added to the target."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        for name, (task, instead) in ONLY_FOR.items():
            if name in self.model_fields_set and task != self.task:
                raise ValueError(f"`{name}` is for `task: {task}` only; {instead}")
        if self.test_n is not None and (self.test_fraction or self.hold_out):
            raise ValueError(
                "the test set is chosen twice: keep one of `test_n`, `test_fraction`, `hold_out`"
            )
        if self.test_n is not None and self.test_n >= self.n:
            raise ValueError(f"`test_n: {self.test_n}` leaves no training example of `n: {self.n}`")
        if self.n_informative + self.n_redundant > self.n_features:
            raise ValueError(
                f"{self.n_informative} informative and {self.n_redundant} redundant columns do not"
                f" fit into `n_features: {self.n_features}`; lower `n_informative`"
            )
        corners = self.n_classes * self.clusters_per_class
        if self.task == "classification" and corners > 2**self.n_informative:
            raise ValueError(
                f"{corners} clusters need that many corners, a cube of `n_informative:"
                f" {self.n_informative}` dimensions has {2**self.n_informative}; raise it"
            )
        return self

    def read(self, seed: int, directory: Path) -> Source:
        """Return the examples in the order drawn; of `test_n`, the last ones are the test set."""
        drawn = self._draw(np.random.RandomState(np.random.MT19937(derive_seed(seed, "synthetic"))))
        rows = np.arange(self.n)
        first = self.n - (self.test_n or 0)
        return Source(
            train=drawn.at(rows[:first]),
            test=None if self.test_n is None else drawn.at(rows[first:]),
            features=tuple(f"x{column}" for column in range(self.n_features)),
            classes=tuple(str(label) for label in range(self.n_classes))
            if self.task == "classification"
            else (),
        )

    def source_digest(self, directory: Path) -> str:
        """Return the empty string: fields and seed make all of it."""
        return ""

    def _draw(self, state: np.random.RandomState) -> Examples:
        from sklearn.datasets import make_classification, make_regression

        rows = np.arange(self.n)
        if self.task == "regression":
            inputs, targets = make_regression(
                n_samples=self.n,
                n_features=self.n_features,
                n_informative=self.n_informative,
                noise=self.noise,
                random_state=state,
            )
            return Examples(inputs, targets.reshape(-1, 1), rows)
        inputs, targets = make_classification(
            n_samples=self.n,
            n_features=self.n_features,
            n_informative=self.n_informative,
            n_redundant=self.n_redundant,
            n_classes=self.n_classes,
            n_clusters_per_class=self.clusters_per_class,
            class_sep=self.class_separation,
            flip_y=0.0,
            random_state=state,
        )
        return Examples(inputs, targets.astype(np.int64), rows)
