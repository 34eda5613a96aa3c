"""The shipped model of pneumothorax, on phantoms."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_node.domain.findings import Presence, Side
from dicom_node.domain.study import Orientation
from pipelines.phantom.chest import chest_phantom
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline
from tests.support.readings import Film, named, only


@pytest.mark.parametrize(("condition", "side"), [("right", Side.RIGHT), ("left", Side.LEFT)])
@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F")])
def test_the_model_reads_a_phantom_with_pneumothorax(
    pipeline: PneumothoraxPipeline, film: Film, condition: str, side: Side, turn: tuple[str, str]
) -> None:
    phantom = chest_phantom(21, condition, severity=0.8, rows=640, columns=560)  # type: ignore[arg-type]
    orientation = Orientation(*turn)
    flipped = np.ascontiguousarray(orientation.from_standard(phantom.display()), np.float32)
    radiograph = replace(film(phantom), pixels=flipped, orientation=orientation)
    finding = only(pipeline, radiograph)
    assert finding.presence is Presence.PRESENT
    assert finding.side is side
    assert finding.segment is not None
    truth = np.asarray(orientation.from_standard(phantom.pneumothorax_mask), np.bool_)
    overlap = (finding.segment.mask & truth).sum()
    assert 2 * overlap / (finding.segment.mask.sum() + truth.sum()) > 0.6
    true_mm2 = truth.sum() * phantom.spacing_mm**2
    assert named(finding, "area").value == pytest.approx(true_mm2, rel=0.5)


@pytest.mark.parametrize("seed", [22, 23])
def test_the_model_reads_a_healthy_phantom(
    pipeline: PneumothoraxPipeline, film: Film, seed: int
) -> None:
    findings = pipeline.read(film(chest_phantom(seed, rows=512, columns=512)))
    (finding,) = findings.findings
    assert finding.presence is Presence.ABSENT
    assert set(findings.timings_ms) == {"preprocess", "inference", "anatomy", "postprocess"}
    assert findings.algorithm.model_sha256 == pipeline.manifest.sha256


def test_verify_passes_for_the_shipped_model_and_fails_for_a_drifted_one(
    pipeline: PneumothoraxPipeline,
) -> None:
    assert [check.words for check in pipeline.verify() if not check.ok] == []
    first, *rest = pipeline.manifest.constancy.references
    drifted = replace(first, probability=1 - first.probability)
    constancy = replace(pipeline.manifest.constancy, references=(drifted, *rest[:1]))
    checks = replace(pipeline, manifest=replace(pipeline.manifest, constancy=constancy)).verify()
    assert [check.ok for check in checks] == [True, False, True]
