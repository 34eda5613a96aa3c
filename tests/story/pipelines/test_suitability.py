"""The shipped gate on real files: what is no frontal chest goes, chests pass."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from pipelines.phantom.chest import chest_phantom
from pipelines.suitability import codes
from pipelines.suitability.cases import read_frontals, read_others
from pipelines.suitability.evaluation import AS_IT_IS, CHANGES, accepted, reason_of
from pipelines.suitability.pipeline import SuitabilityPipeline, load
from tests.support.readings import standard_film

CHESTS = ("siim_*.dcm", "nih_*.dcm", "simpleitk_cxr.dcm", "RG1_*.dcm", "cxr_*.dcm")


@pytest.fixture(scope="module")
def gate(models_dir: Path) -> SuitabilityPipeline:
    """The shipped model, on the processor."""
    return load(models_dir, "cpu")


def why(gate: SuitabilityPipeline, path: Path) -> str | None:
    """Say why a DICOM file is not analysed: by its pixels' encoding or by the gate."""
    try:
        _, radiograph = read_radiograph(path)
    except NotAnalysable as error:
        return str(error)
    return gate.read(radiograph).not_analysed


def test_the_shipped_gate_is_intact_and_passes_phantoms(gate: SuitabilityPipeline) -> None:
    assert [check.words for check in gate.verify() if not check.ok] == []
    film = standard_film(chest_phantom(31, rows=512, columns=448).display())
    assert gate.read(film).not_analysed is None
    for change, reason in CHANGES.values():
        changed = standard_film(np.ascontiguousarray(change(film.pixels)))
        assert gate.read(changed).not_analysed == reason


@pytest.mark.data
def test_not_chest_dicom_files_are_declined(gate: SuitabilityPipeline, shared: Path) -> None:
    files = sorted((shared / "dicom").glob("other_*.dcm"))
    reasons = {path.name: why(gate, path) for path in files}
    assert len(reasons) == 15
    passed = [name for name, reason in reasons.items() if reason is None]
    assert len(passed) <= 0.05 * len(reasons), passed


@pytest.mark.data
def test_chest_dicom_files_pass(gate: SuitabilityPipeline, shared: Path) -> None:
    files = [path for pattern in CHESTS for path in sorted((shared / "dicom").glob(pattern))]
    reasons = {path.name: why(gate, path) for path in files}
    assert len(reasons) == 31
    assert {name: reason for name, reason in reasons.items() if reason is not None} == {}


@pytest.mark.data
def test_other_pictures_are_declined_and_chests_pass(
    gate: SuitabilityPipeline, shared: Path
) -> None:
    others = [case for case in read_others(shared) if case.split == "test"]
    passed = [case.image.name for case in others if not reason_of(gate, case.image, AS_IT_IS)]
    assert len(passed) <= 0.05 * len(others), passed
    chests = [c for c in read_frontals(shared) if c.split == "test" and c.source == "nih"]
    share = accepted(gate, chests)["accepted"]
    assert isinstance(share, dict)
    assert share["value"] >= 0.99
    upright = gate.manifest.operating_points[codes.UPRIGHT]
    assert upright.threshold <= 0.5
