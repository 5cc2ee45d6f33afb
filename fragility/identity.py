"""Content addresses and seeds: the two things that are derived, never drawn."""

from __future__ import annotations

import hashlib
import json

from fragility.method import JSON


def digest(value: JSON) -> str:
    """Returns 32 hex digits naming `value`: SHA-256 of its canonical JSON.

    Keys are sorted, floats written as Python's shortest round-trip form.

    Raises:
        ValueError: `value` holds a NaN or an infinity, which have no canonical form.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def derive_seed(study_seed: int, purpose: str, *indices: int) -> int:
    """Returns the seed of one random draw: the first 63 bits of SHA-256 of its canonical name.

    The name is `[study_seed, purpose, *indices]`, so that a draw depends on the study's seed, on
    what it is for, and on its place (repeat, replicate), and on nothing else: adding repeats or
    methods to a study moves no other draw.
    """
    name = json.dumps([study_seed, purpose, *indices], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
