"""What the work on a batch needs: the plan's cells as tensors and trained models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.execution.checkpoint import StackCheckpoint
from fragility.identity import derive_seed
from fragility.numerics.evaluate import evaluate, features_of
from fragility.numerics.losses import Loss
from fragility.numerics.network import Network
from fragility.numerics.paged import converted
from fragility.numerics.squares import square_products
from fragility.numerics.trained import TrainedModel
from fragility.plan.catalog import Catalog
from fragility.plan.identities import initial_seed
from fragility.plan.tasks import Batch, Plan, PlannedCell, Task
from fragility.procedures import Chosen, Procedure
from fragility.selectors import Candidates, Choice, Selector
from fragility.store import Store
from fragility.training.replay import history


@dataclass(frozen=True)
class Tensors:
    """The examples of a dataset on a device."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


MEMORY = ".memory"
"""Ending of the file, beside a base model, that holds what its optimizer remembers."""
ITERATE = ".iterate"
"""Ending of the file, beside a base model that is an average, that holds its last iterate."""


class Workbench:
    """Reads inputs of tasks from the store and the data, and keeps what several tasks share."""

    def __init__(self, plan: Plan, catalog: Catalog, store: Store, device: torch.device) -> None:
        self.plan, self.catalog, self.store, self.device = plan, catalog, store, device
        self._tensors: dict[tuple[str, torch.dtype], Tensors] = {}
        self._first_repeats: dict[str, PlannedCell] = {}
        for planned in plan.cells:
            self._first_repeats.setdefault(planned.cell.arm, planned)

    def cell(self, task: Task) -> PlannedCell:
        """Returns the cell that a task stands in."""
        return self.plan.cells[task.cell]

    def network(self, planned: PlannedCell) -> Network:
        """Returns the cell's architecture."""
        return planned.network

    def loss(self, planned: PlannedCell) -> Loss:
        """Returns the loss that examples are measured by."""
        return planned.test_loss

    def examples(self, planned: PlannedCell, dtype: torch.dtype) -> Tensors:
        """Returns the examples in a floating precision."""
        key = (planned.data_id, dtype)
        if key not in self._tensors:
            self._tensors[key] = self._load(planned, dtype)
        return self._tensors[key]

    def _load(self, planned: PlannedCell, dtype: torch.dtype) -> Tensors:
        data = self.catalog.data(planned.cell.dataset, planned.cell.seed)

        def tensor(array: NDArray[np.generic]) -> Tensor:
            # The same memory where it can be: nothing writes to examples.
            value = torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self.device)
            return converted(value, dtype) if value.is_floating_point() else value

        return Tensors(
            tensor(data.train.inputs),
            tensor(data.train.targets),
            tensor(data.test.inputs),
            tensor(data.test.targets),
        )

    def parameters(
        self, planned: PlannedCell, dtype: torch.dtype | None = None, train_id: str | None = None
    ) -> dict[str, Tensor]:
        """Returns the parameters of the cell's base model, or of another repeat's.

        In the precision it was trained in, unless another is given.
        """
        return self._stored(train_id or planned.train_id, "", dtype)

    def last_iterate(self, planned: PlannedCell, dtype: torch.dtype) -> dict[str, Tensor]:
        """Returns the parameters after the last step of the cell's base training.

        They are those of the base model, unless that is an average of iterates.
        """
        cell = planned.cell
        averaged = cell.regularization.restraints(cell.training).averaging is not None
        return self._stored(planned.train_id, ITERATE if averaged else "", dtype)

    def _stored(self, train_id: str, part: str, dtype: torch.dtype | None) -> dict[str, Tensor]:
        arrays = self.store.read_model(train_id, part)
        return {
            name: torch.from_numpy(a).clone().to(self.device, dtype) for name, a in arrays.items()
        }

    def trained(self, planned: PlannedCell, train_id: str | None = None) -> TrainedModel:
        """Returns the cell's base model, or that of another repeat, with its examples."""
        network = self.network(planned)
        tensors = self.examples(planned, planned.cell.training.torch_dtype)
        model = TrainedModel(
            network=network,
            loss=planned.trained_loss,
            test_loss=planned.test_loss,
            decay=planned.cell.regularization.decay(network.layout),
            penalties=planned.penalties(network.layout),
            parameters=self.parameters(planned, train_id=train_id),
            inputs=tensors.inputs,
            targets=tensors.targets,
            test_inputs=tensors.test_inputs,
            test_targets=tensors.test_targets,
        )
        task = self.plan.tasks[train_id or planned.train_id]
        of = self.cell(task).cell
        seed = initial_seed(of)
        start = partial(self.initial, self.cell(task), seed)
        restraints = of.regularization.restraints(of.training)
        followed = None
        if not of.regularization.noise(of.training):
            followed = history(of.training, model, start, task.order_seed or 0, restraints)
        return replace(model, history=followed, initial=start)

    def memory(self, planned: PlannedCell) -> dict[str, Tensor]:
        """Returns what the optimizer and schedule of the cell's base training remember."""
        return self._stored(planned.train_id, MEMORY, None)

    def checkpoint(self, batch: Batch) -> StackCheckpoint:
        """Returns where the running state of a batch's stack is kept."""
        return StackCheckpoint(self.store.root, batch, self.device)

    def initial(self, planned: PlannedCell, seed: int) -> dict[str, Tensor]:
        """Returns the initial parameters of a seed.

        A model's may follow from the training examples, all of them: what is removed later is among
        them, before and after.
        """
        facts, cell = planned.facts, planned.cell
        dtype = cell.training.torch_dtype
        drawn = cell.model.initial(facts.input_shape, facts.outputs, seed, dtype)
        values = {name: value.to(self.device) for name, value in drawn.items()}
        return cell.model.from_data(
            self.network(planned), values, lambda: self.examples(planned, dtype).inputs
        )

    def test_points(self, planned: PlannedCell, procedure: Procedure) -> Choice:
        """Returns the test points that a procedure measures on.

        Raises:
            MethodFailure: there are none.
        """
        selector = procedure.test_points
        candidates = self._candidates(planned, "test", selector, {})
        choice = selector.choose(candidates)
        if not len(choice.points):
            raise MethodFailure(
                f"`{selector.kind}` finds no test point among {len(candidates)}.",
                "Choose `test_points` another way.",
            )
        return choice

    def removed(self, task: Task) -> Chosen:
        """Returns what the procedure of a task removes, slot by slot.

        Raises:
            MethodFailure: the training set does not have what is asked for.
        """
        planned = self.cell(task)
        procedure = planned.cell.procedures[str(task.procedure)]
        # The compiler puts the tasks of the scores in the order of their labels.
        sources = [i for i in task.inputs if self.plan.tasks[i].kind == "estimate"]
        scores = {
            label: self.store.arrays(source, "scores")["scores"]
            for label, source in zip(procedure.needs_scores_of, sources, strict=True)
        }
        return procedure.choose(self._candidates(planned, "train", procedure.chooses_by, scores))

    def _candidates(
        self,
        planned: PlannedCell,
        split: Literal["train", "test"],
        selector: Selector | None,
        scores: Mapping[str, NDArray[np.floating]],
    ) -> Candidates:
        data = self.catalog.data(planned.cell.dataset, planned.cell.seed)
        examples = data.train if split == "train" else data.test
        if selector is not None and selector.fixed:
            planned = self._first_repeats[planned.cell.arm]
        return Candidates(
            losses=self.base_losses(planned)[f"{split}_loss"],
            scores=scores,
            seed=derive_seed(planned.cell.seed, f"{split}_points"),
            inputs=examples.inputs,
            targets=examples.targets,
            wrong=partial(self._wrong, planned, split),
            gradient_norms=partial(self._gradient_norms, planned, split),
        )

    def _wrong(self, planned: PlannedCell, split: Literal["train", "test"]) -> NDArray[np.bool_]:
        """Returns which examples (n,) the base model puts into a class that is not theirs."""
        tensors = self.examples(planned, planned.cell.training.torch_dtype)
        inputs, targets = (
            (tensors.inputs, tensors.targets)
            if split == "train"
            else (tensors.test_inputs, tensors.test_targets)
        )
        parameters = self.parameters(planned)
        outputs = self.loss(planned).predicted(
            features_of(self.network(planned), parameters, inputs)
        )
        return np.asarray((outputs.argmax(dim=-1) != targets).cpu().numpy())

    def _gradient_norms(
        self, planned: PlannedCell, split: Literal["train", "test"]
    ) -> NDArray[np.float64]:
        """Returns the length (n,) of the gradient of each example's loss at the base model."""
        model = self.trained(planned)
        if split == "test":
            model = model.on_test()
        layout = model.network.layout
        squares = square_products(model, layout, torch.ones_like(model.vector(layout)[None]))
        return np.asarray(squares[0].sqrt().double().cpu().numpy())

    def test_losses(self, planned: PlannedCell, dtype: torch.dtype) -> NDArray[np.float64]:
        """Returns the base model's loss on every test example, in a precision of choice."""
        if dtype == planned.cell.training.torch_dtype:
            return self.base_losses(planned)["test_loss"]
        tensors = self.examples(planned, dtype)
        losses, _ = evaluate(
            self.network(planned),
            self.loss(planned),
            self.parameters(planned, dtype),
            tensors.test_inputs,
            tensors.test_targets,
        )
        return np.asarray(losses.double().cpu().numpy())

    def base_losses(self, planned: PlannedCell) -> Mapping[str, NDArray[np.float64]]:
        """Returns the base model's `train_loss` and `test_loss` of every example."""
        return self.store.arrays(planned.train_id, "train_loss", "test_loss")
