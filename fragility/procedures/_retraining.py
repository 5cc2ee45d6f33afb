"""What procedures share that remove examples and train again."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fragility.procedures._replicates import TargetReliability
from fragility.procedures.base import Conduct, Procedure
from fragility.training import Order, Training
from fragility.training.newton import Newton
from fragility.training.restraints import Restraints

_DETERMINISTIC = {None: "retraining on the full batch", "shared": "retraining in a shared order"}


class Retraining(Procedure):
    """A procedure that removes examples from the objective and trains again."""

    start: Literal["warm", "cold"] = "warm"
    """Where a retraining starts: at the base model's parameters, or at initial values."""
    state: Literal["reset", "resume"] = "reset"
    """Optimizer and schedule begin anew, or a warm start goes on with the base training's."""
    replicates: PositiveInt | TargetReliability = 1
    """How often each retraining is done, the procedure says what differs between them; or
    `{target_reliability: 0.8, pilot: 10, max: 200}`: as often as the noise asks for."""
    record_every: NonNegativeInt = 0
    """Note the chosen test points' loss every so many retraining steps; 0: do not."""
    steps: NonNegativeInt | None = None
    """Upper limit of retraining steps on the full batch; null: the training's."""
    epochs: NonNegativeInt | None = None
    """Upper limit of retraining epochs of minibatches; null: the training's."""
    order: Order | None = None
    """Whose example order retraining with minibatches follows; null: what the training says."""
    patience: PositiveInt | None = None
    """Steps or epochs without improvement after which retraining stops, where the regularization
    has `early_stopping`, in the loss that it `watches`; null: as many as it says."""
    from_iterate: Literal["average", "last"] = "average"
    """Where a warm start begins if the base model is an average of iterates (`swa`): at the average
    that is scored, or at the last of the iterates."""
    gradient_norm: PositiveFloat | None = None
    """Gradient norm at which retraining stops; null: the training's."""
    learning_rate: PositiveFloat | None = None
    """Learning rate that retraining begins at; null: the training's, or with `state: resume` the
    one it ended at."""
    solver: Literal["training", "newton"] = "training"
    """How models are retrained: as the base model was trained, or by Newton's method."""
    removal: Literal["drop", "zero_weight"] = "drop"
    """`drop`: the mean runs over the examples that are left; `zero_weight`: it stays over n."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Retraining:
        if self.state == "resume" and self.start == "cold":
            raise ValueError("a cold start has nothing to resume; use `state: reset`")
        if self.state == "resume" and self.solver == "newton":
            raise ValueError("Newton's method has no state to resume; use `state: reset`")
        if self.state == "resume" and self.learning_rate is not None:
            raise ValueError("`state: resume` goes on at the rate it has; use `state: reset`")
        if self.from_iterate == "last" and self.start == "cold":
            raise ValueError("a cold start begins at no iterate; drop `from_iterate`")
        if self.parameters != "all" and self.start == "cold":
            raise ValueError(
                "a frozen network has no cold start of some of its parameters; use `start: warm`"
            )
        return self

    def objection(self, training: Training) -> str | None:
        """Returns why this makes no sense with a base model trained that way; None if it does."""
        how = self.retraining(training)
        order, budgets = how.example_order, {"steps": self.steps, "epochs": self.epochs}
        # A procedure for trainings of both sorts may give both.
        if budgets.pop(how.counts) is None and any(value is not None for value in budgets.values()):
            (other,) = budgets
            return f"`{other}` limits no `{how.kind}` training; use `{how.counts}`."
        if self.learning_rate is not None and how.at_rate(self.learning_rate) is None:
            return f"`learning_rate`: `{how.kind}` training has none; drop the key."
        if order is None and self.order is not None:
            return f"`order`: `{how.kind}` training draws no example order; drop the key."
        if self.conduct.replicates > 1 and self.start == "warm" and order != "independent":
            ways = "`start: cold`" if order is None else "`order: independent`, `start: cold`"
            return (
                f"these `replicates` would all be the same, because {_DETERMINISTIC[order]} from a "
                f"warm start is deterministic; use {ways} or `replicates: 1`."
            )
        return None

    @property
    def truth(self) -> str:
        """`warm` or `cold` retraining, over orders or seeds where replicates differ by them."""
        if self.conduct.replicates == 1:
            return self.start
        return "cold over seeds" if self.start == "cold" else "warm over orders"

    @property
    def conduct(self) -> Conduct:
        """How retrainings are begun, repeated and watched."""
        cold, resumes = self.start == "cold", self.state == "resume"
        wanted = self.adaptive
        number = self.replicates if isinstance(self.replicates, int) else 1
        number = wanted.pilot if wanted else number
        return Conduct(cold, resumes, number, self.record_every, self.from_iterate == "last")

    @property
    def adaptive(self) -> TargetReliability | None:
        """The reliability that decides how many replicates there are, if one does."""
        return self.replicates if isinstance(self.replicates, TargetReliability) else None

    def retraining(self, training: Training) -> Training:
        """Returns the base model's training, or Newton's, with this procedure's stopping rules."""
        if self.solver == "newton" and not isinstance(training, Newton):
            training = Newton(dtype=training.dtype, gradient_norm=training.gradient_norm)
        budget = self.epochs if training.counts == "epochs" else self.steps
        limited = training.limited(budget, self.gradient_norm)
        if self.learning_rate is not None:
            limited = limited.at_rate(self.learning_rate) or limited
        return limited if self.order is None else limited.ordered(self.order)

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints with this procedure's patience."""
        stop = restraints.early_stopping
        if stop is None or self.patience is None:
            return restraints
        return replace(restraints, early_stopping=replace(stop, patience=self.patience))

    def idle(self, restraints: Restraints) -> frozenset[str]:
        """Returns the keys given here that say nothing where a base model has such restraints."""
        keys = {
            "patience": self.patience is not None and restraints.early_stopping is None,
            "from_iterate": self.from_iterate == "last" and restraints.averaging is None,
        }
        return frozenset(name for name, idle in keys.items() if idle)

    @property
    def drops(self) -> bool:
        """Whether the mean runs over the examples that are left."""
        return self.removal == "drop"
