"""The shipped model of chest findings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.study import Orientation
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.head import Head
from pipelines.chest_findings.pipeline import load
from pipelines.phantom.chest import chest_phantom
from tests.support.readings import Film


@pytest.fixture(scope="module")
def shipped(models_dir: Path) -> Head:
    return load(models_dir, "cpu")


def test_the_shipped_model_is_what_was_released(shipped: Head) -> None:
    manifest = shipped.model.manifest
    assert [check.words for check in shipped.verify() if not check.ok] == []
    assert {label.name for label in manifest.labels} == set(MAPPED)
    for label in manifest.labels:
        points = label.operating_points
        assert set(points) == {"high_sensitivity", "balanced", "high_specificity"}
        assert points["high_sensitivity"].threshold < points["high_specificity"].threshold
        assert points["high_sensitivity"].sensitivity >= 0.88
        assert points["high_specificity"].specificity >= 0.88
        assert label.column == SCORES.index(label.name)


def test_a_drifted_model_is_noticed(shipped: Head) -> None:
    manifest = shipped.model.manifest
    first, *rest = manifest.references
    moved = replace(first, probabilities=tuple(1 - value for value in first.probabilities))
    drifted = replace(manifest, references=(moved, *rest))
    model = replace(shipped.model, manifest=drifted)
    assert [check.ok for check in model.verify()] == [True, False, *(True for _ in rest)]


def test_a_mirrored_file_is_read_like_the_film(shipped: Head, film: Film) -> None:
    phantom = film(chest_phantom(21, "right", severity=0.8, rows=512, columns=512))
    mirrored = np.ascontiguousarray(phantom.pixels[:, ::-1])
    turned = replace(phantom, pixels=mirrored, orientation=Orientation("R", "F"))
    plain, other = shipped.read(phantom).findings, shipped.read(turned).findings
    for one, two in zip(plain, other, strict=True):
        assert one.probability == pytest.approx(two.probability, abs=1e-4)
        assert one.side is two.side
        assert [box.width for box in one.boxes] == pytest.approx([box.width for box in two.boxes])


@pytest.mark.data
def test_the_shipped_model_knows_a_large_heart(shipped: Head, shared: Path) -> None:
    from pipelines.chest_findings.cases import read_cases
    from pipelines.chest_findings.readings import read_all
    from pipelines.measuring import metrics

    cases = [c for c in read_cases(shared) if c.split == "test" and c.source == "full"]
    large = [case for case in cases if case.has("Cardiomegaly")][:12]
    normal = [case for case in cases if not case.has("Abnormal")][:24]
    readings = read_all(shipped.model, large + normal)
    assert metrics.auc(*readings.of_label("Cardiomegaly")) > 0.7
