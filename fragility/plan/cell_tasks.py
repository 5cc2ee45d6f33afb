"""The tasks of one cell: one base model, its scores, its retrainings, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fragility.errors import Problem, StudyError, UsageError
from fragility.estimators import Estimator
from fragility.identity import derive_seed, digest
from fragility.method import JSON
from fragility.numerics.network import parameter_words
from fragility.numerics.noise import can_mask
from fragility.plan.identities import (
    bootstrap_seed,
    initial_seed,
    method_digest,
    slots_digest,
    training_digest,
)
from fragility.plan.orders import order_seed
from fragility.plan.tasks import PlannedCell, Task
from fragility.procedures import Procedure
from fragility.selectors import Selector
from fragility.study.convexity import not_convex, not_convex_retraining


@dataclass(frozen=True)
class CellTasks:
    """The tasks of one cell."""

    position: int
    planned: PlannedCell
    repeats: tuple[PlannedCell, ...]
    file: str

    def tasks(self) -> list[Task]:
        """Returns every task of the cell, each behind those it consumes.

        Raises:
            StudyError: the cell asks for what its data or model does not have.
        """
        planned, cell = self.planned, self.planned.cell
        if refusal := not_convex(cell.model, cell.training):
            raise self._error(f"training.{cell.training_label}", UsageError(refusal))
        self._check_parameters()
        if refusal := cell.regularization.refusal(planned.facts.task, planned.facts.input_shape):
            raise self._error(f"regularization.{cell.regularization_label}", UsageError(refusal))
        self._check_objective()
        noise = cell.regularization.noise(cell.training)
        if noise.dropout and cell.model.known and not can_mask(planned.network):
            message = (
                f"`dropout` masks hidden affine layers of a sequence; `{cell.model.kind}` has none."
            )
            raise self._error(f"regularization.{cell.regularization_label}", UsageError(message))
        order = order_seed(cell.seed, cell.repeat, cell.training, noisy=bool(noise))
        tasks = [Task(planned.train_id, "train", self.position, order_seed=order)]
        estimates: dict[tuple[str, str], Task] = {}
        for name, procedure in cell.procedures.items():
            selection = self._selection(name, procedure)
            for label in cell.estimators:
                if (label, selection) not in estimates:
                    estimates[label, selection] = self._estimate(label, selection, name)
        tasks.extend(estimates.values())
        for name, procedure in cell.procedures.items():
            selection = self._selection(name, procedure)
            if procedure.finds:
                tasks.extend(self._detections(name, procedure, estimates))
            else:
                tasks.extend(self._procedure(name, procedure, selection, estimates))
        tasks.extend(
            Task(
                digest(["diagnose", planned.train_id, method_digest(diagnostic)]),
                "diagnose",
                self.position,
                inputs=(planned.train_id,),
                diagnostic=number,
            )
            for number, diagnostic in enumerate(cell.diagnostics)
        )
        return tasks

    def _check_objective(self) -> None:
        planned = self.planned
        path = f"regularization.{planned.cell.regularization_label}"
        try:
            _ = planned.trained_loss
            path = f"models.{planned.cell.model_label}"
            if planned.cell.model.known:
                planned.penalties(planned.network.layout)
        except UsageError as error:
            raise self._error(path, error) from error

    def _check_parameters(self) -> None:
        if not self.planned.cell.model.known:
            return
        cell, network = self.planned.cell, self.planned.network
        named = {f"estimators.{label}": e.scored for label, e in cell.estimators.items()}
        named |= {f"procedures.{label}": p.parameters for label, p in cell.procedures.items()}
        for path, which in named.items():
            if which is not None and network.select(which).size == 0:
                raise self._error(
                    f"{path}.parameters",
                    UsageError(
                        f"no parameter of model `{cell.model_label}` matches "
                        f"`{parameter_words(which)}`. It has "
                        f"{', '.join(f'`{name}`' for name in network.layout.names)}."
                    ),
                )

    def _estimate(self, label: str, selection: str, procedure: str) -> Task:
        cell = self.planned.cell
        estimator = cell.estimators[label]
        inputs = self._ensemble(label, estimator)
        chooser = self._first(cell.procedures[procedure].test_points)
        return Task(
            digest(["estimate", *inputs, method_digest(estimator), selection]),
            "estimate",
            self.position,
            inputs=(*inputs, *(i for i in chooser if i not in inputs)),
            estimator=label,
            procedure=procedure,
            selection=selection,
        )

    def _estimate_groups(self, points: Task, procedure: Procedure, by: Sequence[str]) -> Task:
        """Returns the scores of a procedure's groups, given the task that scores single points.

        `by` are the tasks whose scores the groups are drawn by.
        """
        slots = procedure.slots(self.planned.facts.n_train)
        seed = derive_seed(self.planned.cell.seed, "train_points")
        name = next(n for n, p in self.planned.cell.procedures.items() if p is procedure)
        return replace(
            points,
            task_id=digest(["estimate groups", points.task_id, *by, slots, seed]),
            inputs=(*points.inputs, *by),
            procedure=name,
            groups=True,
        )

    def _ensemble(self, label: str, estimator: Estimator) -> tuple[str, ...]:
        """Returns the trainings that scores are made from: the cell's, then the first others'."""
        own = self.planned.train_id
        others = [c.train_id for c in self.repeats if c.train_id != own][: estimator.models - 1]
        if len(others) < estimator.models - 1:
            message = (
                f"an average over {estimator.models} models needs as many repeats, and the study "
                f"has {len(self.repeats)}. Give `repeats: {estimator.models}`, or a smaller number."
            )
            raise self._error(f"estimators.{label}.ensemble", UsageError(message))
        return (own, *others)

    def _first(self, selector: Selector | None) -> tuple[str, ...]:
        """Returns the first repeat's training, where it chooses the points of this repeat."""
        first = self.repeats[0].train_id
        own = selector is None or not selector.fixed or first == self.planned.train_id
        return () if own else (first,)

    def _selection(self, name: str, procedure: Procedure) -> str:
        seed = derive_seed(self.planned.cell.seed, "test_points")
        selector, facts = procedure.test_points, self.planned.facts
        if procedure.finds == "self_influence":
            return digest("training points")
        try:
            if refusal := selector.refusal(facts.task):
                raise UsageError(refusal)
            slots = slots_digest(selector, facts.n_test)
        except UsageError as error:
            raise self._error(f"procedures.{name}.test_points", error) from error
        return digest([slots, seed, *self._first(selector)])

    def _choosers(
        self, name: str, procedure: Procedure, estimates: dict[tuple[str, str], Task]
    ) -> tuple[str, ...]:
        """Returns the tasks that choose what is removed, beside the cell's own training."""
        first = self._first(procedure.chooses_by)
        of = replace(self, planned=self.repeats[0]) if first else self
        selection = of._selection(name, procedure)
        labels = procedure.needs_scores_of
        # Another cell's tasks are its own compiler's to place; here it is their ids that count.
        scored = [
            of._estimate(label, selection, name) if first else estimates[label, selection]
            for label in labels
        ]
        return (*first, *(task.task_id for task in scored))

    def _detections(
        self, name: str, procedure: Procedure, estimates: dict[tuple[str, str], Task]
    ) -> Iterator[Task]:
        """Yields how well each estimator finds planted labels."""
        cell, train_id = self.planned.cell, self.planned.train_id
        if not cell.dataset.label_noise:
            message = f"dataset `{cell.dataset_label}` plants no wrong labels; give `label_noise`."
            raise self._error(f"procedures.{name}", UsageError(message))
        selection = self._selection(name, procedure)
        for label in cell.estimators:
            scores = estimates[label, selection].task_id
            yield Task(
                digest(["detection", train_id, scores, procedure.rule[1]]),
                "measure",
                self.position,
                inputs=(train_id, scores),
                estimator=label,
                procedure=name,
                selection=selection,
            )

    def _procedure(
        self,
        name: str,
        procedure: Procedure,
        selection: str,
        estimates: dict[tuple[str, str], Task],
    ) -> Iterator[Task]:
        cell, train_id = self.planned.cell, self.planned.train_id
        if procedure.conduct.resumes and not cell.training.resumable:
            message = f"training `{cell.training_label}` leaves no optimizer state to resume."
            raise self._error(f"procedures.{name}.state", UsageError(message))
        if refusal := not_convex_retraining(cell.model, cell.training, procedure):
            raise self._error(f"procedures.{name}.solver", UsageError(refusal))
        if refusal := procedure.refusal(self.planned.facts.task):
            raise self._error(f"procedures.{name}.measurable", UsageError(refusal))
        choosers = self._choosers(name, procedure, estimates)
        inputs = [train_id, *choosers]
        watching = self._first(procedure.test_points)
        recorded: JSON = None
        if procedure.conduct.record_every:
            recorded = [procedure.conduct.record_every, selection]
            inputs += [i for i in watching if i not in inputs]
        retraining = procedure.retraining(cell.training)
        noisy = bool(cell.regularization.noise(retraining))
        how = digest(
            [
                "retrain",
                *inputs,
                training_digest(retraining),
                derive_seed(cell.seed, "train_points"),
                recorded,
            ]
        )
        try:
            if (by := procedure.chooses_by) and (refusal := by.refusal(self.planned.facts.task)):
                raise UsageError(refusal)
            removals = procedure.removals(self.planned.facts.n_train)
        except UsageError as error:
            raise self._error(f"procedures.{name}.{procedure.rule[0]}", error) from error
        retrainings = []
        for removal in removals:
            # Only a cold start draws; its seed follows from the replicate in the identity.
            seed = initial_seed(cell, removal.replicate) if procedure.conduct.cold else None
            order = order_seed(cell.seed, cell.repeat, retraining, removal, noisy=noisy)
            drawn = [] if order is None else [order]
            retrainings.append(
                Task(
                    digest([how, removal.identity, seed, *drawn]),
                    "retrain",
                    self.position,
                    inputs=tuple(inputs),
                    procedure=name,
                    slot=removal.slot,
                    replicate=removal.replicate,
                    selection=selection,
                    order_seed=order,
                )
            )
        yield from retrainings
        effects = Task(
            digest(
                [
                    "effects",
                    train_id,
                    selection,
                    # Stored as the role of the points.
                    [procedure.rule[1], procedure.test_points.kind],
                    [procedure.measurable, procedure.comparison],
                    [task.task_id for task in retrainings],
                ]
            ),
            "measure",
            self.position,
            inputs=(
                *inputs,
                *(i for i in watching if i not in inputs),
                *(task.task_id for task in retrainings),
            ),
            procedure=name,
            selection=selection,
        )
        yield effects
        metrics: list[JSON] = [*sorted(method_digest(metric) for metric in cell.metrics)]
        for label in cell.estimators:
            scored = estimates[label, selection]
            if procedure.removes == "group" and cell.estimators[label].scores_groups:
                scored = self._estimate_groups(scored, procedure, choosers)
                yield scored
            scores = scored.task_id
            yield Task(
                digest(["agreement", effects.task_id, scores, metrics, bootstrap_seed(cell.seed)]),
                "measure",
                self.position,
                inputs=(effects.task_id, scores),
                estimator=label,
                procedure=name,
                selection=selection,
            )

    def _error(self, path: str, error: UsageError) -> StudyError:
        where = f"{path} ({self.planned.cell.dataset_label})"
        return StudyError(self.file, [Problem(0, 0, where, error.message)])
