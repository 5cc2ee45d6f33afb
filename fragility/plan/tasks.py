"""The plan: cells, their tasks, and the batches that tasks are executed in."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from fragility.datasets.base import Facts
from fragility.method import JSON
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network, output_shape
from fragility.numerics.penalties import Penalty
from fragility.study.cells import Cell

Kind = Literal["train", "estimate", "retrain", "measure", "diagnose"]
KINDS: tuple[Kind, ...] = ("train", "estimate", "retrain", "measure", "diagnose")


@dataclass(frozen=True)
class Task:
    """A content-addressed unit of work, and its place in one cell.

    `inputs` are the ids of the tasks it consumes. `slot` is the position of the removed point in
    the procedure's selection (None: a placebo). A measure task without an estimator measures the
    effects of a procedure; with one, the agreement of its scores with those effects. `selection`
    is the digest of the test points' selector, for tasks that concern chosen test points.
    `order_seed` is the seed of the example order, for trainings that draw one. An estimate task of
    `groups` scores the groups that its procedure removes, others score all training points.
    """

    task_id: str
    kind: Kind
    cell: int
    inputs: tuple[str, ...] = ()
    estimator: str | None = None
    procedure: str | None = None
    diagnostic: int | None = None
    slot: int | None = None
    replicate: int | None = None
    selection: str | None = None
    order_seed: int | None = None
    groups: bool = False


@dataclass(frozen=True)
class PlannedCell:
    """A cell with what the compiler found out about it.

    `parameters` is None where the model is code of the study's own that no run has imported.
    """

    cell: Cell
    cell_id: str
    data_id: str
    train_id: str
    facts: Facts
    parameters: int | None

    @property
    def network(self) -> Network:
        """The cell's architecture."""
        return self.cell.model.network(self.facts.input_shape, self.facts.outputs)

    @property
    def test_loss(self) -> Loss:
        """The loss that test examples are measured by."""
        return self.cell.model.measured(self.facts.task)

    @property
    def trained_loss(self) -> Loss:
        """The loss whose mean is trained."""
        of_model = self.cell.model.loss(self.facts.task, self.facts.n_train)
        return self.cell.regularization.loss(of_model)

    def penalties(self, whole: Layout) -> tuple[Penalty, ...]:
        """Returns the penalties beyond L2, given the layout of the whole network."""
        of_model = self.cell.model.penalties(whole, self.facts.n_train)
        return (*self.cell.regularization.penalties(whole), *of_model)

    def features(self, procedure: str) -> tuple[int, ...] | None:
        """Returns the shape of what a procedure's frozen prefix makes of one example.

        None where the architecture is not known yet, and where a retraining runs the whole network
        at every step, as it does where its images are changed at random; what is masked at random
        is no part of a prefix.
        """
        parts = self.parts(procedure)
        return None if parts is None else output_shape(parts[0], self.facts.input_shape)

    def parts(self, procedure: str) -> tuple[Network, Network] | None:
        """Returns a procedure's frozen prefix and what is retrained on its features, if so."""
        if not self.cell.model.known:
            return None
        how = self.cell.procedures[procedure]
        noise = self.cell.regularization.noise(how.retraining(self.cell.training))
        if noise.augments:
            return None
        return noise.network(self.network).split(self.network.select(how.parameters))


@dataclass(frozen=True)
class Batch:
    """Tasks of one kind and shape that are executed together and stored in one file."""

    batch_id: str
    kind: Kind
    tasks: tuple[Task, ...]

    @cached_property
    def task_ids(self) -> frozenset[str]:
        """The ids of the tasks."""
        return frozenset(task.task_id for task in self.tasks)


@dataclass(frozen=True)
class Plan:
    """Everything that a study asks for, in the order of execution.

    `placements` has a task for every cell it belongs to, so that an id may stand there twice;
    `batches` hold each id once. `resolved` is the study as its methods read it, by dotted path.
    """

    study: str
    label: str
    seed: int
    cells: tuple[PlannedCell, ...]
    placements: tuple[Task, ...]
    batches: tuple[Batch, ...]
    resolved: Mapping[str, JSON]
    plan_id: str

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Every task once, by id."""
        return {task.task_id: task for batch in self.batches for task in batch.tasks}

    def left(self, tasks: Container[str]) -> tuple[Batch, ...]:
        """Returns the batches cut down to some tasks, without the empty ones."""
        kept = (
            replace(batch, tasks=tuple(t for t in batch.tasks if t.task_id in tasks))
            for batch in self.batches
        )
        return tuple(batch for batch in kept if batch.tasks)

    def counts(self) -> dict[Kind, int]:
        """Returns the number of tasks of each kind."""
        return {kind: sum(len(b.tasks) for b in self.batches if b.kind == kind) for kind in KINDS}
