from __future__ import annotations

from pathlib import Path

from fragility.store import Store, health
from tests.store import samples


def test_a_whole_store_and_no_store_have_no_faults(tmp_path: Path) -> None:
    assert health.check(tmp_path / "nowhere") == []
    samples.fill(tmp_path)
    assert health.check(tmp_path) == []


def test_every_damaged_file_is_found(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    names = ["b-score.safetensors", "b-train.safetensors", "plans/p0.json", "runs/r0.end.json"]
    for name in names:
        (tmp_path / "log" / name).write_bytes(b"{")
    found = health.check(tmp_path)
    assert [name in finding.message for name, finding in zip(names, found, strict=True)] == [
        True
    ] * 4
    assert all("Delete this file" in str(finding) for finding in found)


def test_a_missing_model_is_found(tmp_path: Path) -> None:
    facts = samples.trainings("base", [None, None])
    facts["artifact"] = ["models/kept.safetensors", "models/gone.safetensors"]
    with Store.open(tmp_path, write=True) as store:
        store.commit(samples.record("b", ["kept", "gone"], {"training_facts": facts}))
        store.write_model("kept", {})
    (finding,) = health.check(tmp_path)
    assert "models/gone.safetensors` is missing" in finding.message
    assert "log/b.safetensors" in finding.hint
