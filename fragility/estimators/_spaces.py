"""What estimators that work in a space of a few vectors share."""

from __future__ import annotations

from torch import Tensor

from fragility.errors import MethodFailure

SPACE_BYTES = 3 * 2**30
"""Most memory of the vectors that span a space."""


def refuse_large(kind: str, field: str, vectors: int, rhs: Tensor) -> None:
    """Refuses to hold so many vectors of parameters beside `rhs` (T, P).

    Raises:
        MethodFailure: they take more than the limit, with the number that would not.
    """
    needed = vectors * rhs.shape[1] * rhs.element_size()
    if needed > SPACE_BYTES:
        raise MethodFailure(
            f"`{kind}` would hold {vectors:,} vectors of {rhs.shape[1]:,} parameters, "
            f"{needed / 2**30:.1f} GiB; the limit is {SPACE_BYTES / 2**30:.0f} GiB.",
            f"Give a smaller `{field}`, or fewer `parameters`.",
        )
