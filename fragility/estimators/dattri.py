"""Influence functions as the package dattri computes them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from fragility.estimators._peers import HessianPeer, System, finite, one_strength, ready, running
from fragility.estimators.base import Estimate
from fragility.identity import derive_seed
from fragility.numerics.gradients import block_rows, example_blocks
from fragility.numerics.network import activations
from fragility.numerics.trained import TrainedModel


class Dattri(HessianPeer):
    """Influence functions as the package dattri computes them, for comparison.

    The methods are its IFAttributorExplicit, IFAttributorCG, IFAttributorArnoldi and
    IFAttributorDataInf, given the mean loss of all examples in one batch: over several batches
    dattri adds up inverses of the batches' Hessians. Scores, which dattri gives as training by test
    points and without the 1/n, are ours. Install it with `pip install 'fragility[dattri]'`.

    Known of dattri 0.3: `cg` has no stopping rule, and divides 0 by 0 where `iterations` go on
    after it has converged. `arnoldi` loses orthogonality after some dozens of steps, and then has
    eigenvalues of about 0: their inverses swamp the scores, or make them NaN, unless `rank` leaves
    them out, as dattri's own default does not. Its EK-FAC takes eigenvectors for rows and mixes
    weights with biases, and its LiSSA works in float32 only; neither is offered.

    Valid when: the model is at a minimum and H + damping I is positive definite; for `datainf`,
        see Kwon et al.: the inverse of a mean is taken as the mean of inverses.
    Cost: `explicit` holds P times the activations of all examples at once; `cg` and `arnoldi` take
        a product with the Hessian for each of `iterations`; all a gradient of each example.
    Reference: Deng et al. 2024; Koh and Liang 2017; Schioppa et al. 2022; Kwon et al. 2024.
    """

    package: ClassVar[str | None] = "dattri"
    kind: Literal["dattri"] = "dattri"
    method: Literal["explicit", "cg", "arnoldi", "datainf"] = "explicit"
    """The dense Hessian; conjugate gradients; the largest eigenvectors by Arnoldi's iteration; or
    the empirical Fisher matrix of each layer, which needs `damping` or weight decay."""
    iterations: PositiveInt | None = None
    """Steps of `cg` and of `arnoldi`; left out, dattri's own number, 10 and 100."""
    rank: PositiveInt = 50
    """Most eigenvectors that `arnoldi` keeps; well below `iterations`. Dattri's default is 100."""
    seed: NonNegativeInt = 0
    """Seed of the vector that `arnoldi` starts from."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points; of `explicit` and `cg` the residuals."""
        system = self.system(model)
        model = system.model
        tests = (model.test_inputs[test_points], model.test_targets[test_points])
        rows = self._rows(system, len(test_points))
        blocks = list(example_blocks(model, system.layout, len(test_points)))
        # Without gradients: dattri would keep the graph of every step.
        with running("dattri", model), torch.no_grad():
            attributor = self._attributor(system)
            attributor.cache(ready([(model.inputs, model.targets)]))
            gradients = attributor.generate_test_rep(0, _one_batch(*tests))
            parts = torch.split(gradients, rows)
            vectors = torch.cat([attributor.transform_test_rep(0, part) for part in parts])
            products = [vectors @ self._train(attributor, *block).T for block in blocks]
        scores = finite(torch.cat(products, dim=1) / model.n, self._hint)
        if self.method in ("arnoldi", "datainf"):
            return Estimate(scores, {"damping": system.damping})
        residuals = {"relative_residual": system.residuals(test_points, vectors)}
        return Estimate(scores, {"damping": system.damping}, residuals)

    def _attributor(self, system: System) -> Any:
        from dattri import algorithm
        from dattri.task import AttributionTask

        losses, device = system.losses, str(system.model.inputs.device)
        task = AttributionTask(losses.mean, losses, losses.state_dict())
        steps = {} if self.iterations is None else {"max_iter": self.iterations}
        if self.method == "explicit":
            return algorithm.IFAttributorExplicit(task, device=device)
        if self.method == "cg":
            return algorithm.IFAttributorCG(task, device=device, **steps)
        if self.method == "datainf":
            # Its curvature is made from gradients, in which neither penalty nor damping are.
            added = system.damping + one_strength(system.matrix.decay)
            return algorithm.IFAttributorDataInf(task, device=device, regularization=added)
        seed = derive_seed(self.seed, "dattri_arnoldi")
        return algorithm.IFAttributorArnoldi(
            task, device=device, proj_dim=self.rank, seed=seed, **steps
        )

    def _rows(self, system: System, tests: int) -> int:
        """Returns how many test points are solved for at once."""
        model = system.model
        numbers = model.n * activations(model.network, tuple(model.inputs.shape[1:]))
        if self.method == "explicit":
            system.check_memory("dattri", system.matrix.size * numbers)
        return block_rows(model, 4 * numbers) if self.method == "cg" else tests

    @staticmethod
    def _train(attributor: Any, inputs: Tensor, targets: Tensor) -> Tensor:
        gradients = attributor.generate_train_rep(0, _one_batch(inputs, targets))
        transformed: Tensor = attributor.transform_train_rep(0, gradients)
        return transformed

    @property
    def _hint(self) -> str:
        if self.method == "cg":
            return (
                "Lower `iterations`: dattri's conjugate gradients do not stop when they are done."
            )
        return "Give a `damping` above 0, or add weight decay."


def _one_batch(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns examples as dattri differentiates them one by one: along the second axis."""
    return inputs.unsqueeze(0), targets.unsqueeze(0)
