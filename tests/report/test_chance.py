"""What chance gives stands beside every value that is not 0 by chance."""

from __future__ import annotations

from fragility.report.context import ordered_metrics
from fragility.report.page import page
from fragility.report.pairs import choose, value_words
from fragility.report.sections import agreement, answer
from fragility.report.statistics import null_band
from tests.report import world
from tests.report.test_page import assert_sound
from tests.report.test_sections import study

ARM = world.Arm("mlp", noise=0.9)


def test_an_absolute_metric_is_never_named_without_its_chance() -> None:
    found = study(ARM, metrics=("|spearman|",))
    words = "|Spearman| (chance 0.0843)"
    assert found.named("|spearman|") == words
    assert words in answer.section(found).data["lead"][0]
    assert words in [name for name, _ in answer.section(found).data["rows"]]
    assert words in value_words(found, choose(found)[0])
    data = agreement.section(found).data
    assert data["chart"].reading.startswith(words)
    assert data["rows"][0]["cells"][0].chance == "chance 0.0843"


def test_only_what_is_not_0_by_chance_says_so() -> None:
    found = study(ARM, metrics=("pearson", "|spearman|", "sign_agreement", "slope"))
    data = agreement.section(found).data
    said = dict(zip(data["metrics"], [c.chance for c in data["rows"][0]["cells"]], strict=True))
    assert said == {
        "Pearson": "",
        "|Spearman|": "chance 0.0843",
        "slope": "",
        "sign agreement": "chance 0.500",
    }
    keys = [key.label for key in data["chart"].keys]
    assert "chance: the mean of unrelated lists" in keys
    plain = agreement.section(study(ARM, metrics=("pearson",))).data["chart"]
    assert "chance: the mean of unrelated lists" not in [key.label for key in plain.keys]


def test_signed_and_absolute_are_drawn_side_by_side() -> None:
    w = world.World()
    w.add("runs", world.run_row())
    world.populate(w, [ARM], metrics=("spearman", "|spearman|", "top_k_precision"))
    text = assert_sound(page(w.connection(), world.RUN))
    assert "|Spearman|" in text
    assert ordered_metrics(["|spearman|", "slope", "other", "spearman", "pearson"]) == [
        "pearson", "spearman", "|spearman|", "slope", "other",
    ]  # fmt: skip


def test_the_band_of_an_absolute_correlation_starts_at_0() -> None:
    low, high = null_band("pearson", 25) or (0, 0)
    assert null_band("|pearson|", 25) == (0, high)
    assert low == -high
    assert null_band("|other|", 25) is None
