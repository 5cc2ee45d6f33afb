"""What a diagnostic is: facts about a trained model, most often one number."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from fragility.method import Method, Room
from fragility.numerics.quadrature import Eigenvalues
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class Fact:
    """A named number; `detail` says what it refers to, or why there is none."""

    name: str
    value: float | None
    detail: str | None = None


@dataclass(frozen=True)
class Findings:
    """Several facts, and the spectrum that they are about where it is to be kept."""

    facts: tuple[Fact, ...]
    spectrum: Eigenvalues | None = None


class Diagnostic(Method):
    """A fact about a trained model."""

    asks_spectrum: ClassVar[bool] = True
    """Whether it takes eigenvalues or solves systems: some hundred products with the Hessian."""

    @abstractmethod
    def measure(self, model: TrainedModel, spectrum: Spectrum) -> float | Findings:
        """Returns the number, named by the diagnostic's kind, or several with names of their own.

        Args:
            model: the trained model, in float64.
            spectrum: the eigenvalues of its Hessian, computed once for all diagnostics that ask.

        Raises:
            MethodFailure: there is no such number for this model.
        """


DIAGNOSTICS: Room[Diagnostic] = Room("diagnostics", Diagnostic, "fragility.diagnostics")
