"""Removal of ever more of the highest-scored examples."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, field_validator

from fragility.groups.base import Sizes, sizes_in_examples
from fragility.groups.random import Random
from fragility.method import JSON
from fragility.procedures._retraining import Retraining
from fragility.procedures.base import Chosen
from fragility.selectors import Candidates

_IN_SLOTS = frozenset({"estimators", "sizes", "tail", "against", "draws"})

Rival = Literal["random", "top_loss", "gradient_norm"]


class RemoveTop(Retraining):
    """Removes the examples of highest score, more and more of them, and retrains without.

    For every estimator that is named, and every size, one group: the examples of highest score, the
    mean over the chosen test points. The curve of effect against size shows whether the estimator
    finds the examples that the model leans on; a good one lies above the curves of groups drawn at
    random, of highest training loss and of longest gradient, which ask no estimator. Only the tail
    of the scores is tested, not their order, nor their size.

    Valid when: `tail: positive` is to raise the loss, `negative` to lower it.
    Cost: one training for every size, estimator and rival (`draws` of them at random) and
    replicate, and one placebo a replicate.
    Reference: Park et al. 2023, section 4.2 (counterfactuals); Ilyas et al. 2022, section 4.1.
    """

    removes: ClassVar = "group"
    elsewhere: ClassVar = Retraining.elsewhere | _IN_SLOTS
    kind: Literal["remove_top"] = "remove_top"
    estimators: Annotated[tuple[str, ...], Field(min_length=1)]
    """Labels of the estimators in this study whose highest scores are removed."""
    sizes: Sizes
    """Sizes of the groups: below 1 a fraction of the training set, else a number of examples."""
    tail: Literal["positive", "negative"] = "positive"
    """Remove what is predicted to raise the loss when it is gone, or to lower it."""
    against: tuple[Rival, ...] = ("random", "top_loss", "gradient_norm")
    """Rules to compare with, which ask no estimator."""
    draws: PositiveInt = 5
    """Number of random groups of each size."""

    @field_validator("estimators")
    @classmethod
    def _are_no_rivals(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if label in get_args(Rival):
                raise ValueError(
                    f"`{label}` names a rule of `against`; give the estimator another label"
                )
        return labels

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """The labels."""
        return self.estimators

    @property
    def truth(self) -> str:
        """Ever more of the highest scores removed."""
        return self.kind

    @property
    def rule(self) -> tuple[str, str]:
        """The labels, which stand as roles beside the removed groups."""
        return "estimators", ", ".join(self.estimators)

    def slots(self, n_train: int) -> list[JSON]:
        """Returns rule and size of every group; scores enter by their tasks."""
        sizes = sizes_in_examples(self.sizes, n_train)
        found: list[JSON] = [
            {"rule": "top_score", "estimator": place, "tail": self.tail, "size": size}
            for place in range(len(self.estimators))
            for size in sizes
        ]
        for rival in self.against:
            if rival == "random":
                found += self._random.slots(n_train)
            else:
                found += [{"rule": rival, "size": size} for size in sizes]
        return found

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the groups; their roles are the estimators' labels and the rivals' names."""
        drawn = [self._ordered(candidates, rule) for rule in (*self.estimators, *self.against)]
        members = tuple(group for groups in drawn for group in groups)
        roles = [
            rule
            for rule, groups in zip((*self.estimators, *self.against), drawn, strict=True)
            for _ in groups
        ]
        return Chosen(members, np.full(len(members), np.nan), roles=tuple(roles))

    def _ordered(self, candidates: Candidates, rule: str) -> list[NDArray[np.int64]]:
        """Returns one rule's groups, size by size."""
        if rule in self.estimators:
            mean = candidates.scores[rule].mean(axis=0)
            values = mean if self.tail == "positive" else -mean
        elif rule == "random":
            return self._random.draw(candidates)
        else:
            values = candidates.losses if rule == "top_loss" else candidates.gradient_norms()
        order = np.argsort(-values, kind="stable").astype(np.int64)
        sizes = sizes_in_examples(self.sizes, len(candidates))
        return [np.sort(order[:size]) for size in sizes]

    @property
    def _random(self) -> Random:
        return Random(sizes=self.sizes, count=self.draws)
