"""Study texts that several tests start from."""

from pathlib import Path

from fragility.errors import StudyError
from fragility.study.load import LoadedStudy, load_text

STUDY = """\
study: depth
repeats: 2
datasets:
  iris: {kind: iris, standardize: train, hold_out: [83]}
models:
  linear: {kind: linear}
  mlp: {kind: mlp, width: 5, depth: 1, activation: tanh}
regularization:
  none: {kind: none}
  l2: {kind: weight_decay, strength: 0.005}
training:
  adam:
    kind: full_batch
    optimizer: {kind: adam, learning_rate: 1.0e-3}
    steps: 100
estimators:
  exact: {kind: exact, parameters: last_layer, damping: 1e-2}
procedures:
  warm:
    kind: leave_one_out
    train_points: {kind: top_score, estimator: exact, count: 25}
    test_points: {kind: all}
metrics: [pearson, {kind: slope}]
"""


def load(text: str = STUDY, *overrides: str) -> LoadedStudy:
    return load_text(text, Path("study.yaml"), overrides)


def problems(text: str, *overrides: str) -> list[str]:
    """Returns `line:column path: message` of every problem; none for a study that loads."""
    try:
        load(text, *overrides)
    except StudyError as error:
        return [f"{p.line}:{p.column} {p.path}: {p.message}" for p in error.problems]
    return []
