"""What a dataset plants can be asked for, cell by cell."""

from __future__ import annotations

from pathlib import Path

from fragility.study.cells import cells
from tests.tiny import TINY, changed, load, rows, run

PLANTED = changed(TINY, {"datasets.s.label_noise": 0.1, "datasets.s.duplicates": 3})


def test_flips_and_copies_are_stored_with_the_base_model(tmp_path: Path) -> None:
    study = changed(PLANTED, {"datasets.clean": TINY["datasets"]["s"]})
    run(study, tmp_path)
    data = cells(load(PLANTED))[0].dataset.load(0, tmp_path)
    flips = zip(data.flipped, data.flipped_from, strict=True)
    expected = {(int(point), "flipped", int(before)) for point, before in flips}
    expected |= {(int(copy), "copy", int(original)) for copy, original in data.copies}
    found = rows(
        tmp_path,
        "SELECT train_point, what, original, c.dataset, source_row"
        " FROM planted JOIN cells c USING (cell_id)",
    )
    assert {row[:3] for row in found} == expected
    # One of the copies is that of a flipped example.
    assert len(found) == len(expected) == 4 + 1 + 3
    assert {row[3] for row in found} == {"s"}
    assert all(row[4] == data.train.rows[row[0]] for row in found)
    sizes = rows(tmp_path, "SELECT dataset, n_train FROM cells ORDER BY dataset")
    assert sizes == [("clean", 35), ("s", 38)]
