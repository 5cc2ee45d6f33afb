"""kronfluence's side: factors and pairwise scores, with its own defaults for labels and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryDirectory

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from benchmarks.estimators.problem import DAMPING, Problem


class Classification(Task):
    def compute_train_loss(
        self, batch: list[Tensor], model: nn.Module, sample: bool = False
    ) -> Tensor:
        inputs, targets = batch
        outputs = model(inputs)
        if sample:
            targets = torch.multinomial(outputs.detach().softmax(dim=1), 1).flatten()
        return cross_entropy(outputs, targets, reduction="sum")

    def compute_measurement(self, batch: list[Tensor], model: nn.Module) -> Tensor:
        return self.compute_train_loss(batch, model)


def _ekfac(problem: Problem) -> Callable[[], Tensor]:
    problem = problem.to(torch.float32)
    train = TensorDataset(problem.inputs, problem.targets)
    test = TensorDataset(problem.test_inputs, problem.test_targets)

    def call() -> Tensor:
        task = Classification()
        model = prepare_model(problem.module(), task)
        with TemporaryDirectory() as directory:
            analyzer = Analyzer(
                "digits", model, task, cpu=True, disable_tqdm=True, output_dir=directory
            )
            analyzer.fit_all_factors(
                "factors",
                train,
                per_device_batch_size=len(train),
                factor_args=FactorArguments(strategy="ekfac"),
            )
            analyzer.compute_pairwise_scores(
                "scores",
                "factors",
                test,
                train,
                per_device_query_batch_size=len(test),
                per_device_train_batch_size=len(train),
                score_args=ScoreArguments(damping_factor=DAMPING),
            )
            return analyzer.load_pairwise_scores("scores")["all_modules"]

    return call


METHODS = {"ekfac": _ekfac}
