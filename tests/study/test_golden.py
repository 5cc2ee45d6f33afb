"""Every message, word for word: `golden/NAME.yaml` and what is shown for it, `golden/NAME.txt`.

`python -m tests.study.test_golden` writes the texts anew; read the difference before committing.
Lists of all known methods grow with the methods, so that they are cut out.
"""

import re
from pathlib import Path

import pytest

from fragility.errors import StudyError
from fragility.method import Room
from fragility.models import MODELS
from fragility.study.load import load_text
from fragility.study.rendering import render
from tests.study.studies import STUDY, problems

GOLDEN = Path(__file__).parent / "golden"


def shown(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    with pytest.raises(StudyError) as error:
        load_text(text, Path(path.name))
    return re.sub(r"Known: .*?\.$", "Known: ...", render(error.value), flags=re.MULTILINE) + "\n"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_messages(path):
    assert shown(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_word_that_may_be_a_mapping_too_has_its_nearest():
    mlp = "kind: mlp, hidden: [3], initialization: torhc"
    (found,) = problems(STUDY.replace("kind: linear", mlp))
    assert found.endswith("or a mapping, got the text `torhc`. Did you mean `torch`?")


def test_known_methods_are_all_listed():
    (found,) = problems(STUDY.replace("kind: linear", "kind: quadratic"))
    known = ", ".join(f"`{kind}`" for kind in MODELS.methods)
    assert found == f"6:18 models.linear.kind: unknown model `quadratic`. Known: {known}."


def test_rooms_with_one_method_read_the_same_as_others(monkeypatch):
    assert isinstance(MODELS, Room)
    (found,) = problems(STUDY.replace("{kind: exact, p", "{kind: exat, p"))
    assert found.startswith("17:17 estimators.exact.kind: unknown estimator `exat`. Did you mean")
    (found,) = problems(STUDY.replace("{kind: exact, p", "{p"))
    assert found.startswith("17:3 estimators.exact.kind: this key is missing. Known: ")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "half"])
@pytest.mark.parametrize(
    ("before", "after", "path"),
    [("{kind: exact", ", ", "estimators.exact"), ("kind: full_batch", "\n    ", "training.adam")],
)
def test_half_precision_is_refused_with_the_reason(before, after, path, dtype):
    (found,) = problems(STUDY.replace(before, f"{before}{after}dtype: {dtype}"))
    assert f"{path}.dtype: `{dtype}` is not one of `float32`, `float64`. Half precision" in found
    assert "second derivatives, their inverse and the small change of a loss" in found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("abc", "expected a number, got the text `abc`."),
        ("1.5", "expected a whole number or a number of at most 1, got the number `1.5`."),
        ("[1]", "expected a number, got a list."),
    ],
)
def test_what_a_union_wanted_is_one_problem(value, expected):
    (found,) = problems(STUDY.replace("hold_out: [83]", f"subset: {{train: {value}}}"))
    assert found == f"4:58 datasets.iris.subset.train: {expected}"


if __name__ == "__main__":
    for golden in GOLDEN.glob("*.yaml"):
        golden.with_suffix(".txt").write_text(shown(golden), encoding="utf-8")
