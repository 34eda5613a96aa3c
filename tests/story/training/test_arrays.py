"""Data sets become the arrays that a network is trained on."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.chest_findings.cases import read_cases as read_findings
from pipelines.pneumothorax.cases import read_cases as read_pneumothorax
from tests.support.published import COLUMNS, ROWS, save


def test_every_format_fills_the_tasks_arrays(siim: Path) -> None:
    pytest.importorskip("torch", reason="training needs dicom-node[train]")
    from pipelines.chest_findings.arrays import decode as fill_findings
    from pipelines.pneumothorax.arrays import WEIGHTS, decode

    weights = WEIGHTS | {"siim": 0.5}
    arrays = decode(read_pneumothorax(siim), 0, 32, 0, weights)
    assert arrays.labels[:, 0].tolist() == [1, 0]
    assert arrays.has_mask.tolist() == [1, 1]
    assert arrays.weights.tolist() == [0.5, 0.5]
    assert set(arrays.groups) == {"mask", "absent"}
    drawn = arrays.masks[0].astype(bool)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (5 * 32 // ROWS, 15 * 32 // ROWS)
    assert abs(columns[0] - 2 * 32 / COLUMNS) <= 1
    assert abs(columns[-1] + 1 - 8 * 32 / COLUMNS) <= 1
    assert not arrays.masks[1].any()
    for number in range(2):
        save(siim / "more" / "NORMAL" / f"a{number}.png")
        save(siim / "more" / "PNEUMONIA" / f"person{number}_virus_1.png")
    cases = [*read_findings(siim), *read_findings(siim / "more")]
    found = fill_findings(cases, 0, 32)
    assert {name: len(rows) for name, rows in found.groups.items()} == {
        "siim": 2,
        "classes": 2,
        "child": 2,
    }
    assert found.images.any(axis=(1, 2)).all()
