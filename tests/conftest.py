from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Before torch is imported, and for the processes that tests start: on problems as small as those of
# the tests, threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
