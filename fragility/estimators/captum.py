"""Influence functions as the package captum computes them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from fragility.estimators._peers import HessianPeer, System, finite, ready, running
from fragility.estimators.base import Estimate
from fragility.identity import derive_seed
from fragility.numerics.gradients import example_blocks
from fragility.numerics.trained import TrainedModel

EXAMPLES = 32
"""Examples whose gradients captum takes one by one, each by a backward pass through all of them."""


class Captum(HessianPeer):
    """Influence functions as the package captum computes them, for comparison.

    `exact` is its NaiveInfluenceFunction without a limit on the rank, `arnoldi` its
    ArnoldiInfluenceFunction, `grad_dot` its TracInCP at the trained parameters and learning rate 1.
    The Hessian is that of the summed loss, so that scores are in our unit as they come; those of
    `grad_dot` are divided by n. Install it with `pip install 'fragility[captum]'`.

    Known of captum 0.9: negative eigenvalues are left out, not inverted. Eigenvectors come from a
    solver for unsymmetric matrices, so that those of an eigenvalue that occurs more than once are
    not orthogonal, and `exact` is wrong where gradients see them, as in least squares with several
    outputs: `relative_residual` is then far above 0. `arnoldi` is not exported, and may move.

    Valid when: the model is at a minimum, and the eigenvalues of H + damping I are positive and
        differ from each other.
    Cost: `exact` takes P backward passes over all examples and about 25 P^3 operations; `arnoldi`
        one product with the Hessian for each of `iterations`; all a backward pass of each example.
    Reference: Kokhlikyan et al. 2020; Koh and Liang 2017; Schioppa et al. 2022; Pruthi et al. 2020.
    """

    package: ClassVar[str | None] = "captum"
    kind: Literal["captum"] = "captum"
    method: Literal["exact", "arnoldi", "grad_dot"] = "exact"
    """All eigenvectors of the Hessian; the largest ones, by Arnoldi's iteration; or no curvature
    at all, in which case damping plays no part."""
    rank: PositiveInt = 50
    """Most eigenvectors that `arnoldi` keeps."""
    iterations: PositiveInt = 200
    """Products with the Hessian that `arnoldi` takes."""
    seed: NonNegativeInt = 0
    """Seed of the vector that `arnoldi` starts from."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points; of `exact` how well systems were solved."""
        system = self.system(model)
        model = system.model
        targets = model.test_targets[test_points]
        tests = (model.test_inputs[test_points], targets, targets)
        blocks = list(example_blocks(model, system.layout, len(test_points)))
        with running("captum", model):
            influence = self._influence(system, blocks)
            found: Tensor = influence.influence(tests)
            scores = finite(found.detach().to(targets.device), "Give a `damping` above 0.")
            if self.method == "grad_dot":
                return Estimate(scores / model.n)
            if self.method == "arnoldi":
                return Estimate(scores, {"damping": system.damping, "rank": len(influence.R)})
            # Columns r of R: the sum's Hessian, n times the mean's, has the inverse R R^T.
            towards = influence.compute_intermediate_quantities(tests).detach()
            vectors = model.n * (towards @ influence.R.T).to(targets.device)
        return Estimate(
            scores,
            {"damping": system.damping, "rank": influence.R.shape[1]},
            {"relative_residual": system.residuals(test_points, vectors)},
        )

    def _influence(self, system: System, blocks: list[tuple[Tensor, Tensor]]) -> Any:
        from captum.influence import NaiveInfluenceFunction, TracInCP
        from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

        # The module computes losses itself: captum's loss, of outputs and labels, passes them on.
        train = ready([(x, y, y) for x, y in system.model.train_blocks(EXAMPLES)])
        shared = {"checkpoints_load_func": _nothing_to_load, "loss_fn": _Same()}
        if self.method == "grad_dot":
            return TracInCP(system.losses, train, iter(["trained"]), **shared)
        # Damping and penalty are in the losses already.
        shared |= {"hessian_reg": 0.0, "hessian_inverse_tol": 0.0}
        shared |= {"hessian_dataset": ready([(x, y, y) for x, y in blocks])}
        size = system.matrix.size
        if self.method == "exact":
            system.check_memory("captum", 8 * size**2)
            return NaiveInfluenceFunction(
                system.losses, train, "trained", projection_dim=size, **shared
            )
        return ArnoldiInfluenceFunction(
            system.losses,
            train,
            "trained",
            projection_dim=self.rank,
            arnoldi_dim=self.iterations,
            seed=derive_seed(self.seed, "captum_arnoldi"),
            **shared,
        )


class _Same:
    """The loss of something that is a loss already."""

    reduction = "none"

    def __call__(self, losses: Tensor, labels: Tensor) -> Tensor:
        return losses


def _nothing_to_load(module: object, checkpoint: str) -> float:
    """Returns the learning rate of the checkpoint, whose parameters the module has."""
    return 1.0
