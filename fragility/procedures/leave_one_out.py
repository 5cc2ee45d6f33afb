"""Leave-one-out retraining."""

from __future__ import annotations

from typing import Literal

from fragility.procedures._points import OneAtATime
from fragility.procedures._retraining import Retraining


class LeaveOneOut(Retraining, OneAtATime):
    """Removes one training point at a time, retrains, and takes the change of the test loss.

    `start: warm` begins at the base model's parameters, `start: cold` at initial values. The
    optimizer and its schedule begin anew at the training's learning rate (`state: reset`), or go on
    where the base training left them (`state: resume`). Replicate 0 of a cold start has the base
    model's own initial values, replicate r others. A placebo is retrained beside the removals: it
    removes nothing, and its effect is the drift that all removals share.

    After minibatch training a retraining counts epochs and draws batches. In a `shared` order it
    sees the batches of its base model's training, the removed example's place being empty, so that
    removals and placebo differ by the removal alone. In an `independent` order every retraining
    and replicate draws its own, which adds the noise that retraining in practice has. Warm starts
    in a shared order or on the full batch are deterministic, so they have no replicates.

    Where the objective is convex (a linear model, or `parameters: last_layer`), `solver: newton`
    goes to the optimum itself, whatever way the base model was trained.

    Valid when: base model and retraining both reach the optimum of their objectives.
    Cost: one training for every training point and replicate, and one placebo a replicate.
    Reference: Koh and Liang 2017, section 4.1; Epifano et al. 2023, section 3.
    """

    kind: Literal["leave_one_out"] = "leave_one_out"
