"""Influence functions with Kronecker-factored curvature."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.estimators._kronecker import KroneckerFactored


class KFAC(KroneckerFactored):
    """Influence functions with the Fisher matrix of each layer as a Kronecker product (K-FAC).

    A layer's Fisher matrix E[(a a^T) x (delta delta^T)], a its inputs and delta the gradients of
    its outputs, is taken as E[a a^T] x E[delta delta^T], and layers as unrelated. With `labels:
    expected` that approximates the Gauss-Newton matrix; with `observed` the empirical Fisher
    matrix, which vanishes as a model fits its examples. Convolutions as in Grosse and Martens.

    Valid when: the model is near a minimum; exact for least squares on fixed features.
    Cost: two passes over the examples, with as many backward passes as outputs for `expected`; for
        a layer of k outputs and d inputs k^3 + d^3 operations.
    Reference: Martens and Grosse 2015, section 3; Grosse and Martens 2016 (convolutions).
    """

    corrected: ClassVar[bool] = False
    kind: Literal["kfac"] = "kfac"
