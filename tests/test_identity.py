"""Content addresses and seeds, with golden values: an id or a seed that moves loses results."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.identity import derive_seed, digest

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_digests_stay_what_they_are() -> None:
    assert digest(None) == "74234e98afe7498fb5daf1f36ac2d78a"
    assert digest({"b": [1, 1.0, 1e-3, True], "a": "é"}) == "4f84f54bb1311f3d0f2e6a1c24797e9e"


def test_seeds_stay_what_they_are() -> None:
    assert derive_seed(0, "initialization", 0, 0) == 4785953028783222531
    assert derive_seed(1, "initialization", 49, 2) == 7065442572443980570
    assert derive_seed(0, "split") == 7772336680810930688


@given(
    seed=st.integers(0, 2**63 - 1),
    purpose=st.sampled_from(["initialization", "split", "train_points", "bootstrap"]),
    indices=st.lists(st.integers(0, 10**6), max_size=3),
)
def test_a_seed_is_the_first_63_bits_of_the_hash_of_its_name(
    seed: int, purpose: str, indices: list[int]
) -> None:
    name = ",".join([str(seed), f'"{purpose}"', *map(str, indices)])
    bits = int(hashlib.sha256(f"[{name}]".encode()).hexdigest(), 16)
    assert derive_seed(seed, purpose, *indices) == bits >> (256 - 63)
    assert 0 <= derive_seed(seed, purpose, *indices) < 2**63


@settings(max_examples=50)
@given(value=st.dictionaries(st.text(max_size=4), plain, max_size=5))
def test_the_order_of_keys_changes_nothing(value: dict[str, object]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)  # type: ignore[arg-type]


@given(one=plain, other=plain)
def test_other_values_have_other_names(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), (None, "null"), ([], {}), ("1", 1)]
)
def test_values_of_other_types_are_other_values(one: object, other: object) -> None:
    assert digest(one) != digest(other)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(value)  # type: ignore[arg-type]
