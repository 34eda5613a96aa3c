"""Real radiographs in each transfer syntax, through a running node to Orthanc."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from dicom_node.domain.work import derive_uid
from dicom_node.results.registry import BUILDERS
from tests.support.hospital import configure, dcmsend, running_node
from tests.support.listeners import HL7Listener, Orthanc
from tests.support.validators import (
    entity_errors,
    errors_of,
    printed,
    state_errors,
    structured_report,
)

pytestmark = [pytest.mark.peers, pytest.mark.data]

CHEST = ("siim_*.dcm", "simpleitk_cxr.dcm", "RG1_J2KI.dcm", "nih_google_nhsx.dcm", "cxr_*.dcm")
TASKS = ["pneumothorax", "anatomy", "chest_findings", "pneumonia", "abnormality"]
ALWAYS = {
    ComprehensiveSRStorage,
    BasicTextSRStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
}
"""The objects of a film without findings too."""
OTHERS = {  # Secondary Captures and CR that are no chest, and why no pipeline reads them
    "other_RG2_J2KI.dcm": "body part HIP not in route",
    "other_RG2_JPLY.dcm": "body part HIP not in route",
    "other_RG3_J2KR.dcm": "body part EXTREMITY not in route",
    "other_RG3_JLSN.dcm": "body part EXTREMITY not in route",
    "other_XA1_J2KI.dcm": "modality XA not in route",
    "other_XA1_JPLL.dcm": "modality XA not in route",
    "other_pydicom_image_dfl.dcm": "modality OT not in route",
    "other_vpop_idexx_vet_DX_jpeg-baseline.dcm": "colour image",
}


def _as_studies_of_their_own(paths: list[Path], folder: Path) -> list[Path]:
    """Give each file UIDs of its own: several are one image in several syntaxes."""
    copies = []
    for path in paths:
        ds = dcmread(path)
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(ds, keyword, derive_uid(path.name, keyword))
        ds.file_meta.MediaStorageSOPInstanceUID = UID(ds.SOPInstanceUID)
        copies.append(folder / path.name)
        ds.save_as(copies[-1])
    return copies


@pytest.mark.filterwarnings("ignore")  # pydicom on values of real files, when copying them
def test_every_chest_file_comes_back_valid(
    tmp_path: Path, url: str, orthanc: Orthanc, ris: HL7Listener, shared: Path
) -> None:
    found = sorted(path for pattern in CHEST for path in (shared / "dicom").glob(pattern))
    assert len(found) == 31
    sources = _as_studies_of_their_own(found, tmp_path)
    syntaxes = {
        str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID) for path in sources
    }
    assert len(syntaxes) >= 7
    on_sqlite = url.startswith("sqlite")  # the objects do not depend on the database
    sources = sources if on_sqlite else sources[::4]
    receivers = {"pacs_port": orthanc.dicom_port, "hl7_port": ris.port}
    asked = {"pipelines": TASKS, "outputs": list(BUILDERS)}
    config = configure(tmp_path, url=url, workers=2, **asked, **receivers)
    with running_node(config) as node:
        dcmsend(node, sources)
        snapshot = node.settle(len(sources), 300)
    assert (snapshot.analysed, snapshot.dead_letters) == (len(sources), ())
    for source in sources:
        _check(orthanc, source, tmp_path)


def _check(orthanc: Orthanc, source: Path, folder: Path) -> None:
    """Every object is in order but for what the source itself has wrong."""
    study_uid = str(dcmread(source, stop_before_pixels=True).StudyInstanceUID)
    known = errors_of(_inflated(source, folder))
    query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
    results, classes = [], set()
    for name in orthanc.rest("/tools/find", query):
        path = folder / f"{name}.dcm"
        path.write_bytes(orthanc.content(f"/instances/{name}/file"))
        results.append(path)
        assert errors_of(path) <= known, (source.name, path)
        ds = dcmread(path, stop_before_pixels=True)
        classes.add(ds.SOPClassUID)
        if ds.Modality in ("SR", "KO"):
            structured_report(path)
        if ds.SOPClassUID == ComprehensiveSRStorage:
            assert set(_algorithms(ds)) == set(TASKS), source.name
        if ds.Modality == "PR":
            assert state_errors(path, source) == [], source.name
        if ds.Modality == "DOC":
            page = path.with_suffix(".pdf")
            page.write_bytes(ds.EncapsulatedDocument)
            assert "NOT FOR DIAGNOSTIC USE" in printed(page)
    assert classes >= ALWAYS, source.name
    assert entity_errors([_inflated(source, folder), *results]) == set(), source.name


def _algorithms(item: Dataset) -> Iterator[str]:
    """Name the algorithms of all measurement groups."""
    for child in item.get("ContentSequence", ()):
        name = child.get("ConceptNameCodeSequence")
        if name and name[0].CodeMeaning == "Algorithm Name":
            yield child.TextValue
        yield from _algorithms(child)


def _inflated(source: Path, folder: Path) -> Path:
    """Give the source as dcentvfy can read it: it knows no deflated files."""
    ds = dcmread(source)
    if ds.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return source
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"inflated-{source.name}"
    ds.save_as(path)
    return path


@pytest.mark.filterwarnings("ignore")  # as above
def test_what_is_no_chest_is_kept_and_not_analysed(
    tmp_path: Path, orthanc: Orthanc, ris: HL7Listener, shared: Path
) -> None:
    paths = [shared / "dicom" / name for name in OTHERS]
    config = configure(tmp_path, pacs_port=orthanc.dicom_port, hl7_port=ris.port)
    with running_node(config) as node:
        dcmsend(node, _as_studies_of_their_own(paths, tmp_path))
        snapshot = node.settle(len(paths))
    assert Counter(dict(snapshot.not_analysed)) == Counter(OTHERS.values())
    assert snapshot.analysed == 0
    assert orthanc.rest("/instances") == []
    assert ris.messages == []
