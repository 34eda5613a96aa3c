"""Side, height and share by the lungs that the shipped anatomy outlines."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.findings import Side
from pipelines.anatomy import pipeline as anatomy
from pipelines.phantom.chest import Condition, chest_phantom
from pipelines.pneumothorax import pipeline
from pipelines.thorax import UNKNOWN, find_thorax
from tests.support.readings import standard_film


def test_an_empty_film_has_no_thorax(models_dir: Path) -> None:
    outlines = anatomy.load(models_dir, "cpu")
    film = standard_film(np.full((128, 128), 0.5, np.float32))
    assert find_thorax(outlines, film, 64) == UNKNOWN
    assert find_thorax(None, film, 64) == UNKNOWN


@pytest.mark.parametrize(("condition", "side"), [("right", Side.RIGHT), ("left", Side.LEFT)])
def test_a_phantom_gets_its_share(models_dir: Path, condition: Condition, side: Side) -> None:
    phantom = chest_phantom(3, condition, rows=512, columns=512)
    radiograph = standard_film(phantom.display(), phantom.spacing_mm)
    reader = pipeline.load(models_dir, "cpu", anatomy=anatomy.load(models_dir, "cpu"))
    (finding,) = reader.read(radiograph).findings
    assert finding.side is side
    (share,) = (one for one in finding.measurements if one.name == "share of the hemithorax")
    half = phantom.lungs_mask.copy()
    middle = phantom.lungs_mask.shape[1] // 2
    half[:, middle:] = half[:, middle:] & (condition == "left")
    half[:, :middle] = half[:, :middle] & (condition == "right")
    truth = phantom.pneumothorax_mask.sum() / (half | phantom.pneumothorax_mask).sum()
    assert share.unit.value == "%"
    assert share.value == pytest.approx(100 * truth, abs=10)
    lonely = pipeline.load(models_dir, "cpu").read(radiograph).findings[0]
    assert lonely.probability == finding.probability
    assert all(one.name != share.name for one in lonely.measurements)
