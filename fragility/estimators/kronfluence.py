"""Influence functions as the package kronfluence computes them."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from fragility.errors import MethodFailure
from fragility.estimators._peers import finite, one_strength, running
from fragility.estimators.base import Estimate, ModelEstimator
from fragility.identity import derive_seed
from fragility.numerics.gradients import block_rows, pass_rows
from fragility.numerics.network import Layout
from fragility.numerics.reduction import on_features
from fragility.numerics.tape import affine_layers
from fragility.numerics.trained import TrainedModel

TEST_ROWS = 64
"""Most test points whose gradients kronfluence inverts at once."""


class Kronfluence(ModelEstimator):
    """Influence functions as the package kronfluence computes them, for comparison.

    Its scores are divided by n; sign and damping are ours. `kfac` and `ekfac` are our estimators of
    that name with `labels: sampled`, or `observed` where `empirical_fisher` is true; `diagonal`
    inverts the second moment of each entry of the gradients; `identity` is `grad_dot`. Install it
    with `pip install 'fragility[kronfluence]'`.

    Known of kronfluence 1.0: `kfac` takes both factors of a convolution as means over its places,
    and so is smaller than the Fisher matrix by their number. A layer that is applied twice is
    scored for one of the two; networks with such a layer are refused, and so are parameters that
    are no dense layer or convolution with its bias.

    Valid when: the model is near a minimum; with `empirical_fisher` not where it fits its examples.
    Cost: for a layer of k outputs and d inputs k^3 + d^3 operations; up to five passes over the
        examples; factors and scores pass through files in a temporary directory.
    Reference: Grosse et al. 2023; George et al. 2018; Martens and Grosse 2015.
    """

    package: ClassVar[str | None] = "kronfluence"
    kind: Literal["kronfluence"] = "kronfluence"
    strategy: Literal["ekfac", "kfac", "diagonal", "identity"] = "ekfac"
    """Which curvature is inverted; none for `identity`, where damping plays no part."""
    damping: NonNegativeFloat | Literal["heuristic"] = "heuristic"
    """Added to every eigenvalue, in the unit of the Hessian of the mean loss; or `heuristic`, which
    is kronfluence's tenth of the mean eigenvalue of each layer, the penalty left out."""
    empirical_fisher: bool = False
    """Whether the curvature is made from the training labels, not from labels drawn from the
    model."""
    curvature_includes_regularization: bool = True
    """Whether the strength of the penalty on weights is added to a `damping` that is a number."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, factors and inverse."""
    seed: NonNegativeInt = 0
    """Seed of the labels that are drawn."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points."""
        if model.penalties:
            raise MethodFailure(
                "`kronfluence` takes no penalty but weight decay.", "Use `cg` or `exact`."
            )
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        layers = whole_layers(model, layout)
        damping = self._damping(model, layers)
        tests = TensorDataset(model.test_inputs[test_points], model.test_targets[test_points])
        rows = min(pass_rows(model), block_rows(model, 3 * layout.size), model.n)
        with running("kronfluence", model), TemporaryDirectory() as directory:
            analyzer = self._analyzer(model, layers, directory)
            scores = self._scores(analyzer, model, tests, rows, damping)
        hint = "Give a larger `damping`, or `heuristic`."
        scores = finite(scores.to(model.inputs.device), hint) / model.n
        return Estimate(scores, {} if damping is None else {"damping": damping})

    def _damping(self, model: TrainedModel, layers: list[str]) -> float | None:
        if self.damping == "heuristic":
            return None
        if not self.curvature_includes_regularization:
            return self.damping
        decays = [model.decay[f"{layer}.weight"] for layer in layers]
        return self.damping + one_strength(torch.tensor(decays, dtype=torch.float64))

    def _analyzer(self, model: TrainedModel, layers: list[str], directory: str) -> Any:
        from kronfluence.analyzer import Analyzer, prepare_model
        from kronfluence.task import Task

        loss, test_loss = model.loss, model.test_loss
        draws = torch.Generator(model.inputs.device)
        draws.manual_seed(derive_seed(self.seed, "kronfluence_labels"))

        class SummedLoss(Task):  # type: ignore[misc]
            def compute_train_loss(
                self, batch: list[Tensor], model: nn.Module, sample: bool = False
            ) -> Tensor:
                inputs, targets = batch
                outputs = model(inputs)
                if sample:
                    targets = test_loss.sample(outputs.detach(), draws)
                    return test_loss.per_example(outputs, targets).sum()
                return loss.per_example(outputs, targets).sum()

            def compute_measurement(self, batch: list[Tensor], model: nn.Module) -> Tensor:
                inputs, targets = batch
                return test_loss.per_example(model(inputs), targets).sum()

            def get_influence_tracked_modules(self) -> list[str]:
                return layers

        task = SummedLoss()
        return Analyzer(
            "influence",
            prepare_model(module_of(model), task),
            task,
            cpu=model.inputs.device.type == "cpu",
            disable_tqdm=True,
            output_dir=directory,
        )

    def _scores(
        self,
        analyzer: Any,
        model: TrainedModel,
        tests: TensorDataset,
        rows: int,
        damping: float | None,
    ) -> Tensor:
        from kronfluence.arguments import FactorArguments, ScoreArguments

        train = TensorDataset(model.inputs, model.targets)
        dtype = next(iter(model.parameters.values())).dtype
        analyzer.fit_all_factors(
            "factors",
            train,
            per_device_batch_size=rows,
            factor_args=FactorArguments(
                strategy=self.strategy,
                use_empirical_fisher=self.empirical_fisher,
                covariance_max_examples=None,
                lambda_max_examples=None,
                activation_covariance_dtype=dtype,
                gradient_covariance_dtype=dtype,
                per_sample_gradient_dtype=dtype,
                lambda_dtype=dtype,
            ),
        )
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            tests,
            train,
            per_device_query_batch_size=min(len(tests), TEST_ROWS),
            per_device_train_batch_size=rows,
            score_args=ScoreArguments(
                damping_factor=damping,
                per_sample_gradient_dtype=dtype,
                precondition_dtype=dtype,
                score_dtype=dtype,
            ),
        )
        scores: Tensor = analyzer.load_pairwise_scores("scores")["all_modules"]
        return scores


def module_of(model: TrainedModel) -> nn.Module:
    """Returns a module of its own that holds the trained parameters."""
    module = deepcopy(model.network.module)
    module.to(next(iter(model.parameters.values())).dtype).to(model.inputs.device)
    module.load_state_dict(dict(model.parameters), strict=False)
    return module


def whole_layers(model: TrainedModel, layout: Layout) -> list[str]:
    """Returns the names of the layers whose parameters `layout` holds.

    Raises:
        MethodFailure: kronfluence cannot follow them: they are no dense layers or convolutions,
            some of their parameters are left out, or they are applied more than once.
    """
    known = affine_layers(model.network)
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in layout.names))
    for owner in owners:
        if owner not in known:
            reason = "is no dense layer or convolution that kronfluence knows"
        elif any(
            f"{owner}.{name}" not in layout.names for name, _ in known[owner].named_parameters()
        ):
            reason = "is followed in part only; kronfluence follows weight and bias"
        elif _calls(model, known[owner]) > 1:
            reason = "is applied more than once, which kronfluence scores wrongly"
        else:
            continue
        raise MethodFailure(f"layer `{owner}` {reason}.", "Give other `parameters`, or use `cg`.")
    return owners


def _calls(model: TrainedModel, layer: nn.Module) -> int:
    """Returns how often a layer is applied in one pass."""
    counted: Counter[str] = Counter()
    handle = layer.register_forward_hook(lambda *_: counted.update(["calls"]))
    try:
        with torch.no_grad():
            model.network(model.parameters, model.inputs[:1])
    finally:
        handle.remove()
    return counted["calls"]
