"""`fragility doctor`: what this machine and this store can do."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from fragility import __version__
from fragility.cli import text
from fragility.cli.options import STORE, StoreOption

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "duckdb",
    "pydantic",
    "matplotlib",
    "safetensors",
    "typer",
    "rich",
)


def doctor(
    store: StoreOption = STORE,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what needs torch to be loaded.")
    ] = False,
) -> None:
    """Show versions, devices, threads, data found and the health of the store."""
    findings = health(store)
    facts = [
        ("fragility", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        ("packages", ", ".join(f"{name} {installed(name)}" for name in PACKAGES)),
        *([] if quick else devices()),
        ("threads", f"{os.cpu_count()} CPU cores"),
        ("compiler", compiler() or "no C++ compiler found; none is needed"),
        ("data", data()),
        *[("store", finding) for finding in findings or [state(store)]],
    ]
    for name, value in facts:
        print(f"{name:<10} {value}")
    raise typer.Exit(3 if findings else 0)


def installed(package: str) -> str:
    """Returns a package's version, or `missing`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def compiler() -> str | None:
    """Returns the path of the C++ compiler that torch.compile would use."""
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def devices() -> list[tuple[str, str]]:
    """Returns what torch says of itself and of the accelerators it sees."""
    try:
        import torch
    except ImportError as error:
        return [("torch", f"cannot be imported: {error}")]
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPU"
    found = [("torch", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads")]
    if not torch.cuda.is_available():
        return [*found, ("device", "cpu (no CUDA device)")]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = text.size(properties.total_memory)
        found.append(("device", f"cuda:{index} {properties.name}, {memory}"))
    return found


def data() -> str:
    """Returns which datasets can be read without a download."""
    bundled = "iris, wine, breast_cancer, digits, diabetes"
    known = bundled if installed("scikit-learn") != "missing" else "scikit-learn is missing"
    return f"{known}; synthetic; your own files as csv, parquet, npz and image_folder"


def health(root: Path) -> list[str]:
    """Returns what is wrong with the store; empty when nothing is."""
    from fragility.store import health

    return [str(finding) for finding in health.check(root)]


def state(root: Path) -> str:
    """Returns one line about a healthy store."""
    if not root.is_dir():
        return f"{root}: nothing yet"
    files = [path for path in root.rglob("*") if path.is_file()]
    used = text.size(sum(path.stat().st_size for path in files))
    free = text.size(shutil.disk_usage(root).free)
    return f"{root}: in order, {used} in {text.plural(len(files), 'file')}, {free} free on its disk"
