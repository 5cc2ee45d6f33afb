"""From pixels to numbers: size, scale and margin of images, in float32 throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fragility.numerics.paged import paged_zeros

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
LEVELS = 256
BLOCK = 4096
"""Images converted at a time, so that nothing is held twice in a wider type."""


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Returns images (n, channels, h, w) in another size, bilinear with antialiasing as Pillow."""
    from PIL import Image

    n, channels = pixels.shape[:2]
    out = np.empty((n, channels, height, width), dtype=np.uint8)
    for image in range(n):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(pixels[image, channel]))
            plane = plane.resize((width, height), Image.Resampling.BILINEAR)
            out[image, channel] = np.asarray(plane)
    return out


def moments(pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns each channel's mean and standard deviation (ddof 0), of values from 0 to 1.

    Both come from counts of the 256 levels, exactly. A constant channel has standard deviation 1.
    """
    channels = pixels.shape[1]
    counts = np.zeros((channels, LEVELS), dtype=np.int64)
    for start in range(0, len(pixels), BLOCK):
        for channel in range(channels):
            block = pixels[start : start + BLOCK, channel]
            counts[channel] += np.bincount(block.ravel(), minlength=LEVELS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    levels = np.arange(LEVELS) / (LEVELS - 1)
    mean = shares @ levels
    spread = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    constant = counts.max(axis=1) == counts.sum(axis=1)
    return mean, np.where(constant, 1.0, spread)


def scaled(pixels: Pixels, mean: NDArray[np.float64], std: NDArray[np.float64], pad: int) -> Floats:
    """Returns (value / 255 - mean) / std of each channel, with `pad` zeros on every side.

    Each of the 256 levels is computed once, by the same float32 steps as torchvision's ToTensor
    and Normalize. Where they are more than memory holds, a temporary file has them.
    """
    n, channels, height, width = pixels.shape
    levels = np.arange(LEVELS, dtype=np.float32) / np.float32(LEVELS - 1)
    out = paged_zeros((n, channels, height + 2 * pad, width + 2 * pad), np.float32)
    inner = out[:, :, pad : pad + height, pad : pad + width]
    for channel in range(channels):
        table = (levels - np.float32(mean[channel])) / np.float32(std[channel])
        for start in range(0, n, BLOCK):
            block = slice(start, start + BLOCK)
            inner[block, channel] = table[pixels[block, channel]]
    return out
