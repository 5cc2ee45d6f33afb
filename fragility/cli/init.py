"""`fragility init`: a commented study to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragility.cli import completion

MINIMAL = """\
# A study: what is asked, in one file. Check it: fragility check {file}
# Cells are the product of datasets x models x regularization x training x sweep x repeats.
# `fragility list` names what there is, `fragility describe estimators exact` what it takes.
study: {name}
question: Do exact influence scores predict what leaving a training example out does?
seed: 0        # every other seed is derived from this one
repeats: 1     # each with initial values of its own

datasets:      # the names on the left are yours; they label tables and figures
  iris: {{kind: iris, standardize: train, test_fraction: 0.2}}

models:
  linear: {{kind: linear}}
  mlp: {{kind: mlp, hidden: [5], activation: tanh}}

regularization:
  l2: {{kind: weight_decay, strength: 0.01}}     # adds strength/2 * ||theta||^2 to the mean loss

training:      # stops at the gradient norm, or after `steps`; retrainings do likewise
  lbfgs:
    kind: full_batch
    optimizer: {{kind: lbfgs}}
    steps: 500
    gradient_norm: 1.0e-6
    dtype: float64

estimators:    # scores without retraining, all on the same base model
  exact: {{kind: exact, damping: 0.0}}

procedures:    # what they are compared with: retraining without one example at a time
  warm:
    kind: leave_one_out
    start: warm      # from the base model's parameters; or `cold`
    train_points: {{kind: top_loss, count: 25}}
    test_points: {{kind: random, count: 5}}

# sweep:       # vary any value by its path
#   regularization.l2.strength: [0.001, 0.01, 0.1]
"""


def init(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="[PRESET]",
            help="`minimal`, or the name of a shipped study.",
            autocompletion=completion.presets,
        ),
    ] = "minimal",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file to write.")
    ] = None,
) -> None:
    """Write a commented study to start from; never overwrites a file."""
    from fragility.errors import UsageError

    path = out or Path("study.yaml" if preset == "minimal" else f"{preset.rpartition('/')[2]}.yaml")
    text = starting_text(preset, path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        advice = "Name another file: fragility init --out other.yaml"
        raise UsageError(f"{path} exists and is not overwritten.", advice) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    print(path)


def starting_text(preset: str, path: Path) -> str:
    """Returns the text of a preset.

    Raises:
        UsageError: there is no preset of that name.
    """
    from fragility.errors import UsageError, did_you_mean
    from fragility.study.shipped import shipped_studies

    if preset == "minimal":
        return MINIMAL.format(file=path, name="my-study")
    shipped = shipped_studies()
    if preset in shipped:
        return shipped[preset].read_text(encoding="utf-8")
    known = ["minimal", *shipped]
    raise UsageError(
        f"No preset `{preset}`.{did_you_mean(preset, known)}", f"Presets: {', '.join(known)}."
    )
