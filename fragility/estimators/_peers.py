"""What the adapters of other packages share: one objective in their terms, and a place to run them.

Other packages know losses, not penalties or damping in our units. They are given the loss plus
sum_p (s_p/2) (theta_p - theta_p*)^2 around the trained parameters theta*: at theta* that has the
loss's gradients, and the loss's Hessian plus the diagonal s, which is penalty and damping together.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader

from fragility.errors import FragilityError, MethodFailure
from fragility.estimators._gradients import gradients_of_tests
from fragility.estimators._influence import RelativeDamping, absolute_damping, relative_residuals
from fragility.estimators.base import ModelEstimator, installation
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.network import Layout
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel

LARGEST_BYTES = 8 * 2**30
"""Most memory that a package may be asked to hold at once."""


class HessianPeer(ModelEstimator):
    """An influence function that another package computes from losses and their Hessian."""

    damping: NonNegativeFloat | RelativeDamping = 0.0
    """Added to every eigenvalue: a number in the unit of the Hessian of the mean loss, or
    `{relative: x}`, a multiple of the mean eigenvalue of the Gauss-Newton matrix."""
    curvature_includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, curvature and inverse."""

    def system(self, model: TrainedModel) -> System:
        """Returns the linear systems that are to be solved for this model."""
        if model.loss is not model.test_loss:
            raise MethodFailure(
                f"`{self.kind}` takes one loss for training and test examples, and this model was "
                f"trained by another: {model.loss.name}.",
                "Use one of the project's own estimators.",
            )
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        matrix = CurvatureMatrix(model, layout, "hessian", self.curvature_includes_regularization)
        return System(matrix, absolute_damping(self.damping, matrix))


class System:
    """The damped Hessian of a model, and the module that other packages take it from."""

    def __init__(self, matrix: CurvatureMatrix, damping: float) -> None:
        self.matrix, self.damping = matrix, damping
        self.model, self.layout = matrix.model, matrix.layout
        self.losses = Losses(self.model, self.layout, matrix.decay + damping)

    def residuals(self, test_points: Tensor, vectors: Tensor) -> Tensor:
        """Returns how far each row of `vectors` (T, P) is from solving its system, (T,)."""
        rhs = gradients_of_tests(self.model, self.layout, test_points)
        return relative_residuals(self.matrix, self.damping, rhs, vectors)

    def check_memory(self, package: str, numbers: int) -> None:
        """Refuses what would hold too many numbers at once.

        Raises:
            MethodFailure: it would.
        """
        size = numbers * self.matrix.decay.element_size()
        if size > LARGEST_BYTES:
            raise MethodFailure(
                f"{package} would hold about {size / 2**30:.0f} GiB at once for a Hessian of "
                f"{self.matrix.size:,} parameters over {self.model.n:,} examples.",
                "Use `auto` or `cg`, or fewer `parameters`.",
            )


class Losses(nn.Module):
    """The loss of each example, as a module that has the followed parameters and no others.

    `added` (P,) is the diagonal that penalty and damping add to the Hessian.
    """

    def __init__(self, model: TrainedModel, layout: Layout, added: Tensor) -> None:
        super().__init__()
        self.network, self.loss = model.network, model.loss
        self.trained = dict(model.parameters)
        self.added = layout.unflatten(added)
        # Names keep their dots: dattri tells layers by them.
        self.followed = nn.Module()
        for name in layout.names:
            *path, last = name.split(".")
            holder = self.followed
            for part in path:
                if part not in dict(holder.named_children()):
                    holder.add_module(part, nn.Module())
                holder = holder.get_submodule(part)
            holder.register_parameter(last, nn.Parameter(model.parameters[name].clone()))

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Returns losses (n,)."""
        followed = dict(self.followed.named_parameters())
        outputs = self.network({**self.trained, **followed}, inputs)
        losses = self.loss.per_example(outputs, targets)
        for name, value in followed.items():
            moved = (value - self.trained[name]).square()
            losses = losses + (self.added[name] / 2 * moved).sum()
        return losses

    def mean(self, parameters: dict[str, Tensor], data: Sequence[Tensor]) -> Tensor:
        """Returns the mean loss at other parameters over examples given as inputs and targets."""
        losses: Tensor = functional_call(self, parameters, tuple(data))
        return losses.mean()


def ready(batches: list[tuple[Tensor, ...]]) -> DataLoader[Any]:
    """Returns a loader of batches that are made already."""
    # Whatever can be indexed will do.
    given: Any = batches
    return DataLoader(given, batch_size=None)


@contextmanager
def running(package: str, model: TrainedModel) -> Iterator[None]:
    """Lets a package work: its warnings are silent, its draws and dtype leave no trace.

    New tensors get the model's precision unless the package says otherwise.

    Raises:
        MethodFailure: the package cannot be imported, or breaks.
    """
    device = model.inputs.device
    before = torch.get_default_dtype()
    with (
        warnings.catch_warnings(),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
    ):
        warnings.simplefilter("ignore")
        torch.set_default_dtype(next(iter(model.parameters.values())).dtype)
        # kronfluence collects garbage again and again: what was there before is left alone.
        gc.freeze()
        try:
            yield
        except (FragilityError, MemoryError, torch.OutOfMemoryError):
            raise
        except ImportError as error:
            message = f"{package} cannot be imported: {error}."
            raise MethodFailure(message, installation(package)) from error
        except Exception as error:
            raise MethodFailure(f"{package} broke: {type(error).__name__}: {error}") from error
        finally:
            gc.unfreeze()
            torch.set_default_dtype(before)


def one_strength(decay: Tensor) -> float:
    """Returns the penalty's strength where it is the same everywhere in `decay`.

    Raises:
        MethodFailure: it is not.
    """
    if bool((decay != decay[0]).any()):
        raise MethodFailure(
            "the penalty is not equally strong on all parameters, and this method takes one number "
            "for all.",
            "Give `curvature_includes_regularization: false`, and its strength in `damping`.",
        )
    return float(decay[0])


def finite(scores: Tensor, hint: str) -> Tensor:
    """Returns the scores.

    Raises:
        MethodFailure: some are not finite.
    """
    if not bool(torch.isfinite(scores).all()):
        raise MethodFailure("the scores are not finite.", hint)
    return scores
