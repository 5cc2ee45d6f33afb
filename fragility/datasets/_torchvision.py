"""Image datasets in torchvision's layout, which torchvision downloads on request."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from fragility.datasets._image_dataset import ImageDataset
from fragility.datasets._places import first_with, places
from fragility.errors import DataError


class TorchvisionDataset(ImageDataset):
    """A published dataset of images, in the folders that torchvision makes of it."""

    title: ClassVar[str]
    published_as: ClassVar[str]
    """The name of torchvision's class, which downloads."""
    names: ClassVar[tuple[str, ...]]
    """The files, relative to the root."""
    labels: ClassVar[tuple[str, ...]]
    """The classes, in the order of their numbers."""

    root: str | None = None
    """Folder to look in first, relative to the study's; then come FRAGILITY_DATA (or `--data`), and
    `data` in the working directory."""
    download: bool = False
    """Download what is in none of these folders into the first of them, when a plan or run needs
    it; torchvision checks the checksum."""

    def place(self, directory: Path) -> Path:
        """Return the first folder that has all the files; downloads them if asked to."""
        among = places(self.root, directory)
        if (found := first_with(self.names, among)) is not None:
            return found
        looked = f"Looked for {self.names[0]} and others in {', '.join(map(str, among))}."
        if not self.download:
            raise DataError(
                f"{self.title} is not on this machine. {looked}",
                "Give `download: true` in the study, copy the files there, or name their folder"
                f" with `--data DIR`, FRAGILITY_DATA or `root`.{self.beside(directory)}",
            )
        target = among[0].folder
        try:
            # Commands print data on stdout, and torchvision its progress on either.
            with redirect_stdout(sys.stderr):
                published = getattr(import_module("torchvision.datasets"), self.published_as)
                published(str(target), download=True)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise DataError(
                f"{self.title} could not be downloaded into {target}: {reason}. {looked}",
                "Without a network, copy the files there from another machine.",
            ) from error
        if first_with(self.names, among[:1]) is None:
            raise DataError(
                f"The download of {self.title} left no {self.names[0]} in {target}.",
                "Delete what is there, and try again.",
            )
        return target

    def beside(self, directory: Path) -> str:
        """Return a hint on something else that lies where the files should be."""
        return ""

    def files(self, place: Path) -> Mapping[str, Path]:
        """Return the files by name."""
        return {name: place / name for name in self.names}
