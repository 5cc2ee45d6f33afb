"""How much of a graphics card's memory a computation may take."""

from __future__ import annotations

from functools import cache

import torch


@cache
def card_bytes(device: torch.device) -> int:
    """Returns the memory of a CUDA device in bytes: all of it, in use or not.

    What is free changes from run to run, and with it would the order in which numbers are summed.
    """
    _, total = torch.cuda.mem_get_info(device)
    return total
