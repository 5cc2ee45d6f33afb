"""What `pip install` of the wheel gives, in an environment of its own, from another directory."""

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "FRAGILITY_STORE", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel; its dependencies are those of this one.

    They come by a line in a .pth file: what is on the path that way does not have its own .pth
    files read, so that an editable install of the project here stays out of sight there.
    """
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        *("-m", "build", "--wheel", "--no-isolation", "--outdir", folder),
        ROOT,
        cwd=folder,
    )
    (wheel,) = folder.glob("fragility-*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return environment / "bin"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def test_the_package_comes_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    where = run(
        installed / "python", "-c", "import fragility; print(fragility.__file__)", cwd=elsewhere
    )
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_quickstart_runs_and_reports_from_another_directory(
    installed: Path, elsewhere: Path
) -> None:
    fragility = installed / "fragility"
    output = run(
        fragility,
        *("run", "quickstart"),
        *("--set", "procedures.warm.train_points={kind: top_loss, count: 5}"),
        *("--set", "procedures.warm.test_points={kind: random, count: 3}"),
        cwd=elsewhere,
    )
    assert output.splitlines()[-1].startswith("Done. OK=")
    page = elsewhere / run(fragility, "report", cwd=elsewhere).strip()
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
