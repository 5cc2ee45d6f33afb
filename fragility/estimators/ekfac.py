"""Influence functions with eigenvalue-corrected Kronecker-factored curvature."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.estimators._kronecker import KroneckerFactored


class EKFAC(KroneckerFactored):
    """Influence functions with K-FAC's eigenvectors and the gradients' own second moments (EK-FAC).

    In the basis of the eigenvectors of the two Kronecker factors of a layer, the eigenvalues are
    the second moments that the gradients have there, instead of products of the factors'
    eigenvalues: the best diagonal in that basis. The default damping is that of Grosse et al.

    Valid when: the model is near a minimum; exact for least squares on fixed features.
    Cost: three passes over the examples, with as many backward passes as outputs in two of them for
        `expected` labels; for a layer of k outputs and d inputs k^3 + d^3 operations.
    Reference: George et al. 2018, section 3; Grosse et al. 2023, sections 2.2 and 3.1.
    """

    corrected: ClassVar[bool] = True
    kind: Literal["ekfac"] = "ekfac"
