"""One word, one meaning: the type and the sentence of every column, wherever it appears."""

from __future__ import annotations

_TEXT = "VARCHAR"
_INT = "INTEGER"
_REAL = "DOUBLE"

GLOSSARY: dict[str, tuple[str, str]] = {
    "after": (_REAL, "The measurable of the test example after the removal and retraining."),
    "aggregation": (_TEXT, "How the values of the test examples became one: median or mean."),
    "arm": (_TEXT, "The cell's label without its repeat; names only what varies in the study."),
    "artifact": (_TEXT, "File of the trained parameters, relative to the store; null if not kept."),
    "batch_id": (_TEXT, "The batch the task is executed in."),
    "before": (
        _REAL,
        "The measurable of the test example at the base model, or after the retraining that the"
        " procedure compares with.",
    ),
    "bytes": ("BIGINT", "Size of the file in bytes."),
    "cached": (_INT, "Tasks that the store already held when the run started."),
    "ceiling": (_REAL, "Noise ceiling: the best agreement possible with effects this noisy."),
    "cell_id": (_TEXT, "The cell: one resolved setting that owns one base model."),
    "chance": (
        _REAL,
        "What unrelated lists of as many pairs give on average; null where it is not known.",
    ),
    "ci_high": (_REAL, "Upper end of the confidence interval of `value`."),
    "ci_low": (_REAL, "Lower end of the confidence interval of `value`."),
    "command": (_TEXT, "The command line that started the run."),
    "compilation": (
        _TEXT,
        "Of how many stacks torch.compile computed the gradients, and why not of the others; null"
        " when the run trained nothing.",
    ),
    "converged": ("BOOLEAN", "Whether training ended by its stopping rule, not by its step limit."),
    "dataset": (_TEXT, "Label of the dataset in the study."),
    "departure": (
        _TEXT,
        "What training does beside descending the objective that influence is taken for; null where"
        " it does nothing else.",
    ),
    "detail": (_TEXT, "What the value refers to or how it came about; null if nothing is to say."),
    "device": (_TEXT, "Device the run computed on."),
    "distance": (
        _REAL,
        "Euclidean distance of the parameters from the base model's; of a base model from its"
        " initial values.",
    ),
    "diverged": ("BOOLEAN", "Whether training ended at values that are not finite."),
    "effect": (_REAL, "`after` minus `before`; a positive loss effect means the example helped."),
    "eigenvalue": (
        _REAL,
        "An eigenvalue of the matrix; a node of the quadrature where not all were computed.",
    ),
    "estimator": (_TEXT, "Label of the estimator in the study; null where none is concerned."),
    "factors": (_TEXT, "JSON object of every swept dotted path and its value in the cell."),
    "failed": (_INT, "Tasks that failed."),
    "features": (
        _TEXT,
        "JSON object of the example's first 12 columns, before they are standardized; null for a"
        " picture.",
    ),
    "file": (_TEXT, "File of the example, where each has its own; null otherwise."),
    "finished": ("TIMESTAMP", "When it ended, UTC; null if it has not."),
    "grad_norm": (_REAL, "Euclidean norm of the objective's gradient where training ended."),
    "group_id": (
        "BIGINT",
        "The removed group, see `groups`; null when one point or nothing is removed.",
    ),
    "initial_train_loss": (_REAL, "Mean loss on the training set in use before the first step."),
    "kind": (_TEXT, "The kind of task: train, estimate, retrain, measure or diagnose."),
    "label": (
        _TEXT,
        "Class of the example, or the number to predict, as trained and tested on.",
    ),
    "loss": (_REAL, "The base model's loss on the example."),
    "measurable": (_TEXT, "What is measured of the test example: its loss, margin, ..."),
    "matrix": (
        _TEXT,
        "The curvature matrix, for example `hessian of all parameters`; its penalty is included"
        " unless the words say otherwise.",
    ),
    "message": (_TEXT, "Why the task failed or was skipped; null otherwise."),
    "metric": (_TEXT, "Label of the metric in the study."),
    "mismatch": (_TEXT, "How the score's target differs from the truth's; null if they match."),
    "model": (_TEXT, "Label of the model in the study."),
    "n": (_INT, "Number of pairs of score and effect."),
    "n_test": (_INT, "Number of test examples."),
    "n_train": (_INT, "Number of training examples."),
    "name": (_TEXT, "What is named, for example `gradient_norm`."),
    "ok": (_INT, "Tasks that were computed and succeeded."),
    "original": (
        _INT,
        "Of a copy, the position in the training set of the example that it repeats; of a flipped"
        " label, the class that it was.",
    ),
    "overrides": (_TEXT, "JSON list of the `--set` arguments."),
    "parameters": (_INT, "Number of the model's parameters."),
    "peak_memory": ("BIGINT", "Highest resident memory of the run in bytes."),
    "picture": (
        _TEXT,
        "The example as a PNG in base64, pixels as in the source, at most 64 on a side; null where"
        " it is no picture.",
    ),
    "place": (_INT, "0-based place of the eigenvalue or node in ascending order."),
    "plan_id": (_TEXT, "The plan: all tasks of a study, in order."),
    "point": (_INT, "0-based position of the example in its split as used."),
    "position": (_INT, "0-based position of the task in its record."),
    "predicted_seconds": (_REAL, "Wall time predicted when the run started."),
    "prediction": (
        _TEXT,
        "What the base model makes of a test example, in the form of `label`; null of a training"
        " example.",
    ),
    "probability": (
        _REAL,
        "Probability with which the draw of points includes this one; null where none is known.",
    ),
    "procedure": (_TEXT, "Label of the procedure in the study; null where none is concerned."),
    "reason": (_TEXT, "Why there is no value; null when there is one."),
    "record": (_TEXT, "File of the log that holds the task's result."),
    "regularization": (_TEXT, "Label of the regularization in the study."),
    "removal": (_TEXT, "What was removed: point, group, or placebo (nothing)."),
    "removed": (_TEXT, "Removed training points, comma-separated; null if nothing was removed."),
    "repeat": (_INT, "0-based repeat of the cell, each with a seed of its own."),
    "replicate": (_INT, "0-based replicate: the same removal retrained with another seed."),
    "role": (_TEXT, "What it is there for."),
    "rule": (_TEXT, "The rule that made the group, or the estimator whose scores did."),
    "run_id": (_TEXT, "The run: one execution of a plan."),
    "score": (
        _REAL,
        "Predicted change of the test example's loss when the point or group is removed.",
    ),
    "score_parameters": (_TEXT, "Parameters the score differentiates by."),
    "score_scale": (
        _REAL,
        "What a score is multiplied by to predict this effect: the weight that was taken away (1"
        " for a removal, 0 for a placebo) times the measurable's derivative in the loss.",
    ),
    "seconds": (_REAL, "Wall time in seconds; a task's is its share of its batch's."),
    "seed": ("BIGINT", "Seed that every random draw is derived from."),
    "share_undefined": (
        _REAL,
        "Share, 0 to 1, of test examples for which the metric has no value.",
    ),
    "skipped": (_INT, "Tasks skipped because something they need failed."),
    "slot": (
        _INT,
        "0-based place of the task within its procedure: which point or group it removes.",
    ),
    "source_row": (_INT, "0-based row of the example in the dataset's source."),
    "split": (_TEXT, "The set the point belongs to: train or test."),
    "started": ("TIMESTAMP", "When the run started, UTC."),
    "status": (_TEXT, "How it ended."),
    "step": (_INT, "Training steps taken so far; 0 is before the first."),
    "steps": (_INT, "Training steps taken."),
    "study": (_TEXT, "Name of the study."),
    "study_path": (_TEXT, "File the study was read from, as it was given."),
    "study_text": (_TEXT, "The study's YAML as run, before overrides."),
    "target": (_INT, "0-based position of the example's class; null in regression."),
    "task_id": (_TEXT, "The task, a hash of everything that decides its result."),
    "test_accuracy": (
        _REAL,
        "Share, 0 to 1, of test examples predicted right; null in regression.",
    ),
    "test_loss": (_REAL, "Mean loss on the test set."),
    "test_point": (_INT, "0-based position of the test example in the test set as used."),
    "threads": (_INT, "CPU threads the run computed with."),
    "title": (_TEXT, "Title of the study; null if it has none."),
    "train_accuracy": (_REAL, "Share, 0 to 1, of training examples predicted right."),
    "train_loss": (_REAL, "Mean loss on the training set in use."),
    "train_point": (_INT, "0-based position of the training example in the training set as used."),
    "training": (_TEXT, "Label of the training in the study."),
    "truth": (
        _TEXT,
        "What the procedure takes for true: linear_response, pbrf, proximal, frozen, warm, cold,"
        " groups, ...",
    ),
    "truth_parameters": (_TEXT, "Parameters the retraining changes."),
    "value": (_REAL, "The value; null when there is none."),
    "version": (_INT, "Version of the tables."),
    "versions": (_TEXT, "JSON object of the versions of Python and of the libraries used."),
    "weight": (
        _REAL,
        "How many eigenvalues it stands for: 1 where all were computed; they sum to their number.",
    ),
    "what": (_TEXT, "What was planted: flipped (a label of another class) or copy."),
    "weighting": (
        _TEXT,
        "raw: points count alike; population: each stands for the inverse of its `probability`.",
    ),
}
