"""A task's id changes with what decides its result, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.diagnostics.gradient_norm import GradientNorm
from fragility.estimators.exact import Exact
from fragility.identity import derive_seed
from fragility.metrics.pearson import Pearson
from fragility.models.mlp import MLP
from fragility.plan import Plan, Task, compile_study, identities
from fragility.procedures.leave_one_out import LeaveOneOut
from fragility.regularizers.weight_decay import WeightDecay
from fragility.selectors.top_loss import TopLoss
from fragility.training.full_batch import FullBatch
from tests.tiny import TINY, changed, place, plan

STUDY = changed(
    TINY,
    {
        "estimators.last": {"kind": "exact", "parameters": "last_layer", "damping": 0.1},
        "procedures.cold": {
            "kind": "leave_one_out",
            "start": "cold",
            "replicates": 2,
            "train_points": {"kind": "random", "count": 3},
            "test_points": {"kind": "indices", "indices": [0, 1]},
        },
        "procedures.scored": {
            "kind": "leave_one_out",
            "train_points": {"kind": "top_score", "estimator": "exact", "count": 2},
            "test_points": {"kind": "indices", "indices": [2, 3]},
        },
        "diagnostics": [{"kind": "gradient_norm"}, {"kind": "hessian_top_eigenvalue"}],
    },
)
ORIGINAL = plan(STUDY)

Direct = Callable[[Task], bool]


def train(task: Task) -> bool:
    return task.kind == "train"


def estimate(label: str) -> Direct:
    return lambda task: task.kind == "estimate" and task.estimator == label


def retrain(label: str) -> Direct:
    return lambda task: task.kind == "retrain" and task.procedure == label


def removals(label: str) -> Direct:
    return lambda task: retrain(label)(task) and task.slot is not None


def effects(label: str) -> Direct:
    return lambda task: (
        task.kind == "measure" and task.estimator is None and task.procedure == label
    )


def measured_on(label: str) -> Direct:
    """What depends on the choice of test points."""
    return lambda task: (
        effects(label)(task) or (task.kind == "estimate" and task.procedure == label)
    )


def agreement(task: Task) -> bool:
    return task.kind == "measure" and task.estimator is not None


def diagnostic(position: int) -> Direct:
    return lambda task: task.diagnostic == position


def either(*several: Direct) -> Direct:
    return lambda task: any(direct(task) for direct in several)


small = st.floats(1e-6, 10, allow_subnormal=False)
yes = st.booleans()
FIELDS: dict[str, tuple[st.SearchStrategy[Any], Direct]] = {
    "seed": (st.integers(0, 2**62), train),
    "datasets.s.n": (st.integers(35, 60), train),
    "datasets.s.n_features": (st.integers(3, 6), train),
    "datasets.s.test_n": (st.integers(4, 8), train),
    "datasets.s.class_separation": (small, train),
    "datasets.s.standardize": (st.sampled_from(["none", "train", "all"]), train),
    "datasets.s.subset": (st.builds(lambda n: {"train": n}, st.integers(10, 20)), train),
    "models.net.hidden": (st.lists(st.integers(1, 5), min_size=1, max_size=2), train),
    "models.net.activation": (st.sampled_from(["tanh", "relu", "gelu"]), train),
    "models.net.initialization": (
        st.sampled_from(["torch", "orthogonal"])
        | st.builds(lambda seed: {"torch_seed": seed}, st.integers(0, 99)),
        train,
    ),
    "regularization.l2.strength": (small, train),
    "regularization.l2.parameters": (st.sampled_from(["all", "weights"]), train),
    "training.adam.steps": (st.integers(0, 1000), train),
    "training.adam.gradient_norm": (small, train),
    "training.adam.dtype": (st.sampled_from(["float32", "float64"]), train),
    "training.adam.optimizer.learning_rate": (small, train),
    "training.adam.optimizer.epsilon": (small, train),
    "training.adam.optimizer.amsgrad": (yes, train),
    "training.adam.schedule": (
        st.builds(lambda n: {"kind": "plateau", "patience": n}, st.integers(1, 200)),
        train,
    ),
    "estimators.exact.damping": (small, estimate("exact")),
    "estimators.exact.curvature": (
        st.sampled_from(["hessian", "gauss_newton"]),
        estimate("exact"),
    ),
    "estimators.exact.curvature_includes_regularization": (yes, estimate("exact")),
    "estimators.exact.parameters": (
        st.sampled_from(["all", "last_layer", "last_layer_weight"]),
        estimate("exact"),
    ),
    "estimators.exact.dtype": (st.sampled_from(["float32", "float64"]), estimate("exact")),
    "estimators.last.damping": (small, estimate("last")),
    "procedures.warm.steps": (st.integers(0, 100), retrain("warm")),
    "procedures.warm.gradient_norm": (small, retrain("warm")),
    "procedures.warm.parameters": (st.sampled_from(["all", "last_layer"]), retrain("warm")),
    "procedures.warm.removal": (st.sampled_from(["drop", "zero_weight"]), retrain("warm")),
    "procedures.warm.start": (st.sampled_from(["warm", "cold"]), retrain("warm")),
    "procedures.warm.state": (st.sampled_from(["reset", "resume"]), retrain("warm")),
    "procedures.warm.record_every": (st.integers(0, 5), retrain("warm")),
    "procedures.warm.train_points.kind": (
        st.sampled_from(["top_loss", "median_loss", "random"]),
        either(removals("warm"), effects("warm")),
    ),
    "procedures.warm.test_points.kind": (
        st.sampled_from(["random", "top_loss", "median_loss"]),
        measured_on("warm"),
    ),
    "procedures.warm.train_points.count": (st.integers(1, 9), effects("warm")),
    "procedures.warm.test_points.count": (st.integers(1, 4), measured_on("warm")),
    "procedures.cold.replicates": (st.integers(1, 4), effects("cold")),
    "procedures.scored.train_points.estimator": (
        st.sampled_from(["exact", "last"]),
        either(retrain("scored"), effects("scored")),
    ),
    "metrics": (
        st.sets(st.sampled_from(["pearson", "slope", "spearman"]), min_size=1).map(sorted),
        agreement,
    ),
    "diagnostics": (
        st.builds(
            lambda on: [
                {"kind": "gradient_norm"},
                {"kind": "hessian_top_eigenvalue", "includes_regularization": on},
            ],
            yes,
        ),
        diagnostic(1),
    ),
}
DEFAULTS = {
    "seed": 0,
    "datasets.s.class_separation": 1.0,
    "datasets.s.standardize": "none",
    "models.net.initialization": "torch",
    "regularization.l2.parameters": "all",
    "training.adam.optimizer.epsilon": 1e-8,
    "training.adam.optimizer.amsgrad": False,
    "estimators.exact.curvature": "hessian",
    "estimators.exact.curvature_includes_regularization": True,
    "estimators.exact.parameters": "all",
    "estimators.exact.dtype": "float64",
    "procedures.warm.parameters": "all",
    "procedures.warm.removal": "drop",
    "procedures.warm.start": "warm",
    "procedures.warm.state": "reset",
    "procedures.warm.record_every": 0,
    "diagnostics": [
        {"kind": "gradient_norm"},
        {"kind": "hessian_top_eigenvalue", "includes_regularization": True},
    ],
}


def written(path: str) -> Any:
    value: Any = STUDY
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def is_new(path: str, value: Any) -> bool:
    if path in DEFAULTS and (written(path) is None or path == "diagnostics"):
        return bool(value != DEFAULTS[path])
    return bool(value != written(path))


def check(before: Plan, after: Plan, direct: Direct) -> None:
    """Every task is new if it is concerned directly or consumes what is new, and only then."""
    old = {place(task): task.task_id for task in before.placements}
    new: set[str] = set()
    for task in after.placements:
        concerned = place(task) not in old or direct(task) or not new.isdisjoint(task.inputs)
        assert (old.get(place(task)) != task.task_id) == concerned, task
        if concerned:
            new.add(task.task_id)
    assert new.isdisjoint(before.tasks)


@pytest.mark.parametrize("path", FIELDS)
@settings(max_examples=10)
@given(data=st.data())
def test_a_field_changes_what_it_decides_and_what_consumes_that(path: str, data: Any) -> None:
    values, direct = FIELDS[path]
    value = data.draw(values)
    if is_new(path, value):
        check(ORIGINAL, plan(changed(STUDY, {path: value})), direct)
    else:
        assert plan(changed(STUDY, {path: value})).tasks.keys() == ORIGINAL.tasks.keys()


@settings(max_examples=100)
@given(data=st.data(), paths=st.sets(st.sampled_from(sorted(FIELDS)), min_size=2, max_size=5))
def test_several_fields_change_what_they_change_one_by_one(data: Any, paths: set[str]) -> None:
    drawn = {path: data.draw(FIELDS[path][0]) for path in sorted(paths)}
    if drawn.get("procedures.warm.start") == "cold":
        # A last layer has no cold start, and a cold start nothing to resume.
        drawn.pop("procedures.warm.parameters", None)
        drawn.pop("procedures.warm.state", None)
    direct = [FIELDS[path][1] for path, value in drawn.items() if is_new(path, value)]
    check(ORIGINAL, plan(changed(STUDY, drawn)), either(*direct))


def ids(study: Any, file: Path = Path("tiny.yaml")) -> list[str]:
    return sorted(task.task_id for task in plan(study, file).placements)


def backwards(value: Any) -> Any:
    """The same mapping with its keys in the opposite order, at every level."""
    if isinstance(value, dict):
        return {key: backwards(item) for key, item in reversed(value.items())}
    return value


def test_texts_order_and_place_of_the_study_change_nothing() -> None:
    same = ids(STUDY)
    assert ids(changed(STUDY, {"title": "Another", "question": "Why?", "study": "other"})) == same
    assert ids(backwards(STUDY)) == same
    assert ids({**STUDY, "metrics": [*reversed(STUDY["metrics"])]}) == same
    assert ids(STUDY, Path("elsewhere/of-another-name.yaml")) == same


def test_labels_change_nothing() -> None:
    renamed = {
        section: {f"my-{label}": method for label, method in value.items()}
        if isinstance(value, dict)
        else value
        for section, value in STUDY.items()
    }
    renamed = changed(renamed, {"procedures.my-scored.train_points.estimator": "my-exact"})
    assert ids(renamed) == ids(STUDY)


def test_formatting_and_spelling_change_nothing() -> None:
    from fragility.study.load import load_text

    block = """\
# The same study, written by hand.
study: tiny
datasets:
  s:
    kind: synthetic
    n: 40
    test_n: 5
    n_features: 4
    n_informative: 3
models: {net: {kind: "mlp", width: 3, depth: 1, activation: 'tanh'}}
regularization:
  l2: {kind: weight_decay, strength: 5.0e-2}
training:
  adam:
    steps: 20
    kind: full_batch
    dtype: float64
    schedule: {kind: none}
    optimizer: {kind: adam, learning_rate: 0.050, betas: [0.9, 0.999]}
estimators:
  exact: {kind: exact, damping: 1e-2, curvature: hessian}
procedures:
  warm:
    kind: leave_one_out
    start: warm
    steps: 5
    train_points: {kind: top_loss, count: 4}
    test_points: {kind: random, count: 2}
metrics: [pearson, {kind: slope}]
diagnostics:
  - kind: gradient_norm
"""
    written = compile_study(load_text(block, Path("by-hand.yaml")))
    assert sorted(task.task_id for task in written.placements) == ids(TINY)


def csv_study(path: str) -> Any:
    dataset = {"kind": "csv", "path": path, "label": "y", "task": "regression"}
    return changed(TINY, {"datasets": {"d": {**dataset, "test_fraction": 0.2}}})


def test_a_moved_data_file_changes_nothing_and_an_edited_one_everything(tmp_path: Path) -> None:
    lines = [f"{i * 0.5},{(-i) ** 2 % 7},{i % 3}" for i in range(30)]
    text = "a,b,y\n" + "\n".join(lines) + "\n"
    (tmp_path / "here.csv").write_text(text)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "there.csv").write_text(text)
    (tmp_path / "edited.csv").write_text(text.replace("0.5,", "0.25,", 1))
    here = ids(csv_study("here.csv"), tmp_path / "study.yaml")
    assert ids(csv_study("data/there.csv"), tmp_path / "study.yaml") == here
    assert ids(csv_study(str(tmp_path / "data" / "there.csv"))) == here
    edited = ids(csv_study("edited.csv"), tmp_path / "study.yaml")
    assert set(edited).isdisjoint(here)


def test_more_repeats_keep_the_tasks_there_are() -> None:
    few, more = plan(changed(STUDY, {"repeats": 2})), plan(changed(STUDY, {"repeats": 5}))
    assert few.tasks.keys() < more.tasks.keys()
    assert few.counts()["train"] == 2
    assert more.counts()["train"] == 5
    assert {c.cell_id for c in few.cells} < {c.cell_id for c in more.cells}


@pytest.mark.parametrize(
    ("path", "method", "kinds"),
    [
        ("estimators.more", {"kind": "exact", "damping": 1}, {"estimate": 3, "measure": 3}),
        (
            "procedures.more",
            {
                "kind": "leave_one_out",
                "steps": 3,
                "train_points": {"kind": "indices", "indices": [1, 2]},
                "test_points": {"kind": "indices", "indices": [0, 1]},
            },
            # Its test points are those of `cold`, so that the scores are there already.
            {"retrain": 3, "measure": 3},
        ),
        (
            "models.more",
            {"kind": "linear"},
            {"train": 1, "estimate": 6, "retrain": 16, "measure": 9, "diagnose": 2},
        ),
        ("diagnostics", [*STUDY["diagnostics"], "hessian_bottom_eigenvalue"], {"diagnose": 1}),
    ],
)
def test_an_added_method_adds_its_own_tasks_only(
    path: str, method: Any, kinds: dict[str, int]
) -> None:
    more = plan(changed(STUDY, {path: method}))
    assert ORIGINAL.tasks.keys() < more.tasks.keys()
    added = [task.kind for i, task in more.tasks.items() if i not in ORIGINAL.tasks]
    assert {kind: added.count(kind) for kind in added} == kinds


def test_an_added_metric_measures_agreement_anew_and_nothing_else() -> None:
    more = plan(changed(STUDY, {"metrics": ["pearson", "slope", "kendall"]}))
    added = [task for i, task in more.tasks.items() if i not in ORIGINAL.tasks]
    assert len(added) == 6
    assert all(agreement(task) for task in added)


@pytest.mark.parametrize(
    "selector",
    [
        {"kind": "top_loss"},
        {"kind": "median_loss"},
        {"kind": "random"},
        {"kind": "top_score", "estimator": "exact"},
    ],
    ids=lambda selector: selector["kind"],
)
def test_more_points_keep_the_retrainings_there_are(selector: dict[str, str]) -> None:
    def retrainings(count: int) -> set[str]:
        points = {**selector, "count": count}
        planned = plan(changed(TINY, {"procedures.warm.train_points": points}))
        return {i for i, task in planned.tasks.items() if task.kind == "retrain"}

    assert retrainings(3) < retrainings(9)


def test_points_named_one_by_one_are_those_of_all() -> None:
    def retrainings(points: dict[str, Any]) -> set[str]:
        planned = plan(changed(TINY, {"procedures.warm.train_points": points}))
        return {i for i, task in planned.tasks.items() if task.kind == "retrain"}

    assert retrainings({"kind": "indices", "indices": [7, 3]}) < retrainings({"kind": "all"})


def test_two_labels_of_one_method_are_one_task() -> None:
    twice = changed(
        TINY,
        {
            "estimators.same": TINY["estimators"]["exact"],
            "procedures.same": TINY["procedures"]["warm"],
        },
    )
    assert plan(twice).tasks.keys() == plan(TINY).tasks.keys()
    # Estimates and agreements stand there for every pair of labels.
    assert len(plan(twice).placements) == 1 + 2 + 2 * 5 + 2 + 2 * 2 + 1


def test_a_swept_damping_has_one_base_model_and_one_set_of_retrainings() -> None:
    swept = plan(changed(TINY, {"sweep": {"estimators.exact.damping": [0.001, 0.01, 0.1]}}))
    assert len(swept.cells) == 3
    assert swept.counts() == {
        "train": 1,
        "estimate": 3,
        "retrain": 5,
        "measure": 1 + 3,
        "diagnose": 1,
    }


REVISED = [
    (MLP, train),
    (WeightDecay, train),
    (FullBatch, train),
    (Exact, either(estimate("exact"), estimate("last"))),
    (LeaveOneOut, lambda task: task.kind == "retrain"),
    (TopLoss, removals("warm")),
    (Pearson, agreement),
    (GradientNorm, diagnostic(0)),
]


@pytest.mark.parametrize(("method", "direct"), REVISED, ids=lambda value: value.__name__)
def test_a_raised_revision_is_another_method(
    method: Any, direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method, "revision", method.revision + 1)
    caches = (identities.method_digest, identities.slots_digest)
    for cache in caches:
        cache.cache_clear()
    try:
        check(ORIGINAL, plan(STUDY), direct)
    finally:
        for cache in caches:
            cache.cache_clear()


def test_seeds_follow_the_documented_rule() -> None:
    assert identities.initialization_seed(5, 2) == derive_seed(5, "initialization", 2, 0)
    assert identities.initialization_seed(5, 2, 3) == derive_seed(5, "initialization", 2, 3)
    assert identities.bootstrap_seed(5) == derive_seed(5, "bootstrap")


def test_a_model_s_own_seed_counts_up_over_the_repeats() -> None:
    seeded = {"models.net.initialization": {"torch_seed": 14}, "repeats": 3}
    found = [planned.cell for planned in plan(changed(TINY, seeded)).cells]
    assert [identities.initial_seed(cell) for cell in found] == [14, 15, 16]
    assert len({planned.train_id for planned in plan(changed(TINY, seeded)).cells}) == 3
    # Further replicates of a cold start are none of the script's.
    assert identities.initial_seed(found[1], 2) == identities.initialization_seed(0, 1, 2)
    other = plan(changed(TINY, {**seeded, "seed": 1})).cells
    assert [identities.initial_seed(planned.cell) for planned in other] == [14, 15, 16]
    plain = plan(changed(TINY, {"repeats": 2})).cells
    assert [identities.initial_seed(planned.cell) for planned in plain] == [
        identities.initialization_seed(0, repeat) for repeat in range(2)
    ]


def test_no_two_cells_or_replicates_share_initial_values() -> None:
    seeds = [
        identities.initialization_seed(seed, repeat, replicate)
        for seed in range(4)
        for repeat in range(6)
        for replicate in range(3)
    ]
    assert len(set(seeds)) == len(seeds)
