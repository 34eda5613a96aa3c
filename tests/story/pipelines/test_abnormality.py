"""Normal or abnormal: a score that names no disease."""

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain import codes
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings.head import Head
from pipelines.chest_findings.heads.abnormality import load


@pytest.fixture(scope="module")
def shipped(models_dir: Path) -> Head:
    return load(models_dir, "cpu")


def test_one_finding_is_told(shipped: Head, noise: Radiograph) -> None:
    found = shipped.read(replace(noise))
    (finding,) = found.findings
    assert finding.code == codes.ABNORMAL
    assert finding.site == codes.CHEST
    assert finding.boxes == ()
    assert 0 < finding.probability < 1
    assert found.algorithm.name == "abnormality"
    assert set(found.timings_ms) == {"preprocess", "inference", "postprocess"}
    assert any("names no disease" in note for note in found.notes)


def test_the_shipped_model_is_what_was_released(shipped: Head) -> None:
    assert [check.words for check in shipped.verify() if not check.ok] == []


@pytest.mark.data
def test_the_shipped_model_ranks_findings_above_none(shipped: Head, shared: Path) -> None:
    from pipelines.chest_findings.cases import read_cases
    from pipelines.chest_findings.readings import read_all
    from pipelines.measuring import metrics

    cases = [c for c in read_cases(shared) if c.split == "test" and c.source == "full"]
    model = shipped.model
    readings = read_all(model, cases[:60])
    assert metrics.auc(*readings.of_label("Abnormal")) > 0.6
