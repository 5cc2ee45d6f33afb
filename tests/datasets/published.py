"""Where the published files of images lie, for the tests that need them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

ENVIRONMENT = dict(os.environ)
"""As it was before a test changed it."""


def published_root(environment: Mapping[str, str] = ENVIRONMENT) -> Path:
    """The folder that FRAGILITY_DATA names; without it the test is skipped, and fails under CI."""
    if root := environment.get("FRAGILITY_DATA"):
        return Path(root).absolute()
    missing = "FRAGILITY_DATA names no folder with MNIST/raw and cifar10"
    if environment.get("CI"):
        pytest.fail(f"{missing}: under CI the tests of published files are not skipped")
    pytest.skip(missing)
