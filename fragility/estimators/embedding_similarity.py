"""How alike two examples are to the last layer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fragility.estimators._influence import diverged_model
from fragility.estimators.base import Estimate, Estimator
from fragility.numerics.gradients import pass_rows
from fragility.numerics.trained import TrainedModel


class EmbeddingSimilarity(Estimator):
    """Similarity of what the last layer is given for the test and for the training example.

    The score is the cosine, the dot product, or minus the Euclidean distance of the two inputs of
    the last layer (of the network's own inputs where it has one layer). It has no unit, and its
    sign says nothing about help: labels play no part, so that similar examples of another class,
    which usually hurt, score as high as those of the same class. Compare its order within a class,
    or read an agreement with effects as that of a retrieval method.

    Valid when: similar examples are searched for; not as a prediction of an effect.
    Cost: one pass over the examples.
    Reference: Hanawa et al. 2021, its last-layer metrics; Pezeshkpour et al. 2021.
    """

    kind: Literal["embedding_similarity"] = "embedding_similarity"
    metric: Literal["cosine", "dot", "euclidean"] = "cosine"
    """`cosine` of the angle (0 where an embedding is 0), `dot` product, or minus the `euclidean`
    distance."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the similarities to all training points."""
        model = model.to(torch.float64)
        test = embeddings(model, model.test_inputs[test_points])
        train = embeddings(model, model.inputs)
        if not bool(torch.isfinite(test).all()):
            raise diverged_model()
        if self.metric == "euclidean":
            # Not by the expanded square, which cancels where examples are close.
            return Estimate(-torch.cdist(test, train, compute_mode="donot_use_mm_for_euclid_dist"))
        if self.metric == "cosine":
            test, train = nn.functional.normalize(test), nn.functional.normalize(train)
        return Estimate(test @ train.T)


@torch.no_grad()
def embeddings(model: TrainedModel, inputs: Tensor) -> Tensor:
    """Returns what the last layer is given for each example, flat, (m, d); in blocks."""
    given: list[Tensor] = []

    def note(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        given.append(arguments[0].flatten(1))

    network, rows = model.network, pass_rows(model)
    layer = network.module.get_submodule(network.last_layer)
    handle = layer.register_forward_pre_hook(note)
    try:
        found = []
        for block in torch.split(inputs, rows):
            functional_call(network.module, dict(model.parameters), (block,))
            # The last of them, where a layer is applied more than once.
            found.append(given.pop())
    finally:
        handle.remove()
    return torch.cat(found)
