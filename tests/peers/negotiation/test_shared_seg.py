"""A SEG is shared by pipelines only where each frame begins with a byte."""

from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.exchange.substitution import SOP_CLASSES, SR_SOP_CLASSES
from dicom_node.domain.findings import Presence
from tests.support.dimse_peers import restricted
from tests.support.listeners import Storescp
from tests.support.node import MakeNode, Node
from tests.support.scripted import Scripted
from tests.support.validators import entity_errors, errors_of

pytestmark = pytest.mark.peers

NODE = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
reject_replaced = true
[[routes]]
name = "chest"
pipelines = ["pneumothorax", "pneumonia"]
outputs = ["seg", "sr", "sc"]
send_to = ["pacs"]
"""


@pytest.fixture(params=[(384, 321), (384, 320), (401, 321)], ids=str)
def shape(request: pytest.FixtureRequest) -> tuple[int, int]:
    shape: tuple[int, int] = request.param
    return shape


def read(make_node: MakeNode, port: int, folder: Path, shape: tuple[int, int]) -> Node:
    """Have a film of this shape read by two pipelines that both find a region."""
    node = make_node(NODE.format(port=port))
    node.film, node.more = folder / "odd.dcm", (Scripted(name="pneumonia"),)
    phantom = phantom_dx(2, "right", made_at=1.7e9, rows=shape[0], columns=shape[1])
    phantom.save_as(node.film, enforce_file_format=True)
    node.receive()
    node.settle()
    return node


def arrived(pacs: Storescp) -> dict[str, list[Dataset]]:
    found: dict[str, list[Dataset]] = {}
    for path in pacs.files:
        ds = dcmread(path)
        found.setdefault(str(ds.Modality), []).append(ds)
    return found


def named(content: Dataset) -> set[tuple[str, int]]:
    """Every SEG and segment that a document refers to."""
    found = set()
    for ds in content.get("ContentSequence", []):
        for ref in ds.get("ReferencedSOPSequence", []):
            if "ReferencedSegmentNumber" in ref:
                found.add((str(ref.ReferencedSOPInstanceUID), int(ref.ReferencedSegmentNumber)))
        found |= named(ds)
    return found


def test_frames_begin_with_a_byte_and_the_report_names_them(
    make_node: MakeNode, tmp_path: Path, shape: tuple[int, int]
) -> None:
    aligned = shape[0] * shape[1] % 8 == 0
    with Storescp(tmp_path / "pacs") as pacs:
        node = read(make_node, pacs.port, tmp_path, shape)
        found = arrived(pacs)
        assert {kind: len(all_) for kind, all_ in found.items()} == {
            "SEG": 1 if aligned else 2,
            "SR": 1,
            "OT": 1,
        }
        segments = {
            (str(ds.SOPInstanceUID), int(one.SegmentNumber))
            for ds in found["SEG"]
            for one in ds.SegmentSequence
        }
        assert len(segments) == 2
        assert {ds.NumberOfFrames for ds in found["SEG"]} == {2 if aligned else 1}
        (report,) = found["SR"]
        assert named(report) == segments
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        referred = {str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in evidence}
        assert {uid for uid, _ in segments} < referred
        assert not any(errors_of(path) for path in pacs.files)
        assert not entity_errors([node.film, *pacs.files])


def test_a_later_reading_rejects_them_all(make_node: MakeNode, tmp_path: Path) -> None:
    with Storescp(tmp_path / "pacs") as pacs:
        node = read(make_node, pacs.port, tmp_path, (401, 321))
        first = arrived(pacs)
        node.more = (Scripted("2", Presence.ABSENT, name="pneumonia"),)
        node.read_again(Scripted("2", Presence.ABSENT))
        (note,) = arrived(pacs)["KO"]
        rejected = {
            str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            for one in note.ContentSequence
            if "ReferencedSOPSequence" in one
        }
        assert rejected == {str(ds.SOPInstanceUID) for kind in first.values() for ds in kind}


def test_a_peer_without_segmentations_gets_one_overlay(make_node: MakeNode, tmp_path: Path) -> None:
    with restricted(tmp_path, SR_SOP_CLASSES["comprehensive"], SOP_CLASSES["sc"]) as pacs:
        node = read(make_node, pacs.port, tmp_path, (401, 321))
        assert Counter(dcmread(path).Modality for path in pacs.files) == {"SR": 1, "OT": 1}
        done = sorted(kind for _, kind, state in node.sent() if state == "completed")
        assert done == ["sc", "sr"]
