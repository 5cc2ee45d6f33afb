"""Pieces of clothing in 28 x 28 pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.datasets._idx import IdxDataset, idx_names


class FashionMnist(IdxDataset):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothing, 28 x 28, gray.

    Read from `FashionMNIST/raw`, as torchvision leaves it. Harder than MNIST, in the same format.

    Valid when: the files are there, or `download: true`.
    Cost: 47 MB to read and 188 MB in memory for all training images, in proportion for a subset.
    Reference: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (2017).
    """

    title: ClassVar[str] = "Fashion-MNIST"
    published_as: ClassVar[str] = "FashionMNIST"
    names: ClassVar[tuple[str, ...]] = idx_names("FashionMNIST")
    labels: ClassVar[tuple[str, ...]] = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )

    kind: Literal["fashion_mnist"] = "fashion_mnist"
