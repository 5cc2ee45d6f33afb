"""Handwritten digits in 28 x 28 pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.datasets._idx import IdxDataset, idx_names


class Mnist(IdxDataset):
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28, gray.

    Read from `MNIST/raw`, as torchvision leaves it. `subset: {train: 2000, kind: stratified}` takes
    part of it. Epifano et al. 2023 give pixels from 0 to 1 to fully connected networks (the
    default), and to LeNet `normalize: {mean: 0.1307, std: 0.3081}` with `pad: 2`.

    Valid when: the files are there, or `download: true`.
    Cost: 47 MB to read and 188 MB in memory for all training images, in proportion for a subset.
    Reference: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proceedings of the IEEE 86 (1998)
    2278-2324.
    """

    title: ClassVar[str] = "MNIST"
    published_as: ClassVar[str] = "MNIST"
    names: ClassVar[tuple[str, ...]] = idx_names("MNIST")
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")

    kind: Literal["mnist"] = "mnist"
