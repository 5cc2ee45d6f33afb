"""From a study's name or file to a checked study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import exists, isfile
from pathlib import Path

from fragility.errors import Problem, StudyError, UsageError, did_you_mean
from fragility.study.checks import cross_checks
from fragility.study.convexity import convexity
from fragility.study.expansion import STUDY, Expansion, expanded, too_many_cells, validated
from fragility.study.messages import got, listed, quoted
from fragility.study.model import Study
from fragility.study.nodes import Node
from fragility.study.objections import misplaced, objections, without_effect
from fragility.study.overrides import with_overrides
from fragility.study.problems import problem_at
from fragility.study.reference import reference_problems
from fragility.study.shipped import shipped_studies
from fragility.study.sweep import read_sweep, substituted
from fragility.study.yaml import MAX_BYTES, YamlError, decode, parse


@dataclass(frozen=True)
class LoadedStudy:
    """A checked study, with the file and the overrides it came from.

    `label` is what the user called it; `text` is the file as it stands, without the overrides.
    """

    study: Study
    path: Path
    text: str
    overrides: tuple[str, ...]
    label: str
    expansion: Expansion = field(repr=False, compare=False)

    @property
    def directory(self) -> Path:
        """The folder that relative paths in the study start from."""
        return self.path.parent


def load_study(name_or_path: str, overrides: Sequence[str] = ()) -> LoadedStudy:
    """Returns the study of a file or of a shipped study's name, checked.

    Args:
        name_or_path: a file, or the name of a shipped study; a file comes first.
        overrides: `PATH=VALUE` texts, in order.

    Raises:
        UsageError: neither a file nor a shipped study.
        StudyError: the study has problems; holds all of them.
    """
    path = _find(name_or_path)
    try:
        with path.open("rb") as file:
            text = decode(file.read(MAX_BYTES + 1))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise StudyError(str(path), [Problem(0, 0, "", f"cannot be read: {reason}.")]) from None
    except YamlError as error:
        raise StudyError(str(path), [error.problem]) from None
    return load_text(text, path, overrides, label=name_or_path)


def load_text(
    text: str, path: Path, overrides: Sequence[str] = (), label: str | None = None
) -> LoadedStudy:
    """Returns the study of a YAML text that stands, or would stand, in the file `path`.

    Raises:
        StudyError: the study has problems; holds all of them.
    """
    try:
        root = parse(text)
    except YamlError as error:
        raise StudyError(str(path), [error.problem], text) from None
    if not isinstance(root.value, dict):
        wrong = f"expected a mapping that begins with `study: NAME`, got {got(root)}."
        raise StudyError(str(path), [problem_at(root.place, (), wrong)], text)
    root, problems = with_overrides(root, STUDY, overrides)
    study, expansion, more = _checked(root, path.parent)
    problems += more
    if problems or study is None:
        raise StudyError(str(path), list(dict.fromkeys(problems)), text)
    return LoadedStudy(study, path, text, tuple(overrides), label or str(path), expansion)


def _checked(root: Node, study_dir: Path) -> tuple[Study | None, Expansion, list[Problem]]:
    sweep, problems = read_sweep(root, STUDY)
    tree = root.without("sweep") if problems else root
    first = next(sweep.rows())
    study, invalid = validated(substituted(tree, first), study_dir)
    problems += [*invalid, *cross_checks(substituted(tree, first), STUDY)]
    excess = too_many_cells(root, sweep)
    if excess:
        return study, Expansion(sweep, {}), [*problems, excess]
    parts, more = expanded(root, sweep, study, study_dir, problems)
    expansion, problems = Expansion(sweep, parts), problems + more
    if study is not None and not problems:
        problems += objections(tree, study, expansion)
        problems += misplaced(tree, study, expansion)
        problems += without_effect(tree, study, expansion)
        problems += convexity(tree, study, expansion)
        problems += reference_problems(tree, study, expansion)
    return study, expansion, problems


def _find(name_or_path: str) -> Path:
    # `os.path` answers for any text, where `Path` raises for some.
    shipped = shipped_studies()
    if isfile(name_or_path):
        return Path(name_or_path)
    if name_or_path in shipped:
        return shipped[name_or_path]
    if exists(name_or_path):
        return Path(name_or_path)
    here = [str(file) for file in sorted(Path().glob("*.y*ml")) if file.is_file()]
    near = did_you_mean(name_or_path, [*shipped, *here]).strip()
    raise UsageError(
        f"{quoted(name_or_path)} is neither a file nor a shipped study.",
        near or f"Shipped studies: {listed(list(shipped))}.",
    )
