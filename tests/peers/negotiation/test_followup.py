"""A later reading points to what it replaces, and is told only when it differs."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.commands.cli import main
from dicom_node.domain.findings import Presence
from tests.support.listeners import HL7Listener, Orthanc, Storescp
from tests.support.node import MakeNode
from tests.support.scripted import Scripted
from tests.support.validators import entity_errors, errors_of, structured_report

pytestmark = pytest.mark.peers

NODE = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
reject_replaced = {rejects}
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = {ris}
[[routes]]
name = "chest"
outputs = ["seg", "sr", "text_sr", "sc"]
send_to = ["pacs"]
notify = ["ris"]
"""


def by_modality(paths: list[Path]) -> dict[str, list[Dataset]]:
    found: dict[str, list[Dataset]] = {}
    for path in paths:
        ds = dcmread(path, stop_before_pixels=True)
        found.setdefault(ds.Modality, []).append(ds)
    return found


def predecessors(ds: Dataset) -> list[str]:
    return [
        str(ref.ReferencedSOPInstanceUID)
        for study in ds.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for ref in series.ReferencedSOPSequence
    ]


def result_status(message: bytes) -> tuple[str, set[str]]:
    """OBR-25 and every OBX-11 but that of the study's identifier."""
    lines = [line.split("|") for line in message.decode().split("\r") if line]
    (order,) = [line for line in lines if line[0] == "OBR"]
    return order[25], {line[11] for line in lines if line[0] == "OBX"} - {"O"}


def test_a_changed_conclusion_replaces_rejects_and_corrects(
    make_node: MakeNode, tmp_path: Path
) -> None:
    with Storescp(tmp_path / "pacs") as pacs, HL7Listener() as ris:
        node = make_node(NODE.format(pacs=pacs.port, ris=ris.port, rejects="true"))
        node.receive()
        node.settle()
        first = set(pacs.files)
        assert [result_status(one) for one in ris.messages] == [("P", {"P"})]
        node.read_again(Scripted("2", Presence.ABSENT))

        new = [path for path in pacs.files if path not in first]
        old, later = by_modality(sorted(first)), by_modality(new)
        assert {modality: len(found) for modality, found in later.items()} == {
            "SR": 2,  # both reports, and no SEG of an absent finding
            "OT": 1,
            "KO": 1,
        }
        for report in later["SR"]:
            (before,) = [ds for ds in old["SR"] if ds.SOPClassUID == report.SOPClassUID]
            assert predecessors(report) == [str(before.SOPInstanceUID)]
        (note,) = later["KO"]
        assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
        rejected = {
            str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            for one in note.ContentSequence
            if one.ValueType in ("IMAGE", "COMPOSITE")
        }
        assert rejected == {str(ds.SOPInstanceUID) for found in old.values() for ds in found}
        assert [result_status(one) for one in ris.messages[1:]] == [("C", {"C"})]
        for path in new:
            assert not errors_of(path)
            if dcmread(path, stop_before_pixels=True).Modality in ("SR", "KO"):
                structured_report(path)
        assert not entity_errors([node.film, *sorted(first), *new])


def test_an_unchanged_conclusion_is_not_told_again(make_node: MakeNode, tmp_path: Path) -> None:
    with Storescp(tmp_path / "pacs") as pacs, HL7Listener() as ris:
        node = make_node(NODE.format(pacs=pacs.port, ris=ris.port, rejects="false"))
        node.receive()
        node.settle()
        node.read_again(Scripted("2"))
        assert len(ris.messages) == 1
        later = by_modality(pacs.files)
        assert "KO" not in later  # nobody asked for rejection notes
        assert sorted(len(predecessors(ds)) for ds in later["SR"]) == [0, 0, 1, 1]


def test_the_same_reading_again_sends_nothing(make_node: MakeNode, tmp_path: Path) -> None:
    with Storescp(tmp_path / "pacs") as pacs, HL7Listener() as ris:
        node = make_node(NODE.format(pacs=pacs.port, ris=ris.port, rejects="true"))
        node.receive()
        node.settle()
        before = node.sent()
        node.read_again(Scripted("1"))
        assert node.sent() == before
        assert len(ris.messages) == 1


def test_a_third_reading_rejects_the_second_alone(make_node: MakeNode, tmp_path: Path) -> None:
    with Storescp(tmp_path / "pacs") as pacs, HL7Listener() as ris:
        node = make_node(NODE.format(pacs=pacs.port, ris=ris.port, rejects="true"))
        node.receive()
        node.settle()
        node.read_again(Scripted("2"))
        second = {ds.SOPInstanceUID for one in by_modality(pacs.files).values() for ds in one}
        known = set(pacs.files)
        node.read_again(Scripted("3", Presence.ABSENT))
        (note,) = by_modality([path for path in pacs.files if path not in known])["KO"]
        rejected = [one for one in note.ContentSequence if one.ValueType in ("IMAGE", "COMPOSITE")]
        assert len(rejected) == 4
        assert {
            str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in rejected
        } < set(map(str, second))
        assert [result_status(one)[0] for one in ris.messages] == ["P", "C"]


def test_a_model_that_serves_again_is_heard_again(make_node: MakeNode, tmp_path: Path) -> None:
    """As after `models rollback`: its first results were taken back meanwhile."""
    with Storescp(tmp_path / "pacs") as pacs, HL7Listener() as ris:
        node = make_node(NODE.format(pacs=pacs.port, ris=ris.port, rejects="true"))
        node.receive()
        node.settle()
        first = by_modality(pacs.files)
        node.read_again(Scripted("2", Presence.ABSENT))
        known = set(pacs.files)
        for _ in range(2):  # the second time nothing is new
            node.read_again(Scripted("1"))
            said = [(result_status(one)[0], b"|AA|" in one) for one in ris.messages]
            assert said == [("P", True), ("C", False), ("C", True)]
            back = by_modality([path for path in pacs.files if path not in known])
            counts = {modality: len(found) for modality, found in back.items()}
            assert counts == {"SEG": 1, "SR": 2, "OT": 1, "KO": 1}
        for modality in ("SEG", "SR", "OT"):  # a note has rejected the first ones for good
            old = {str(ds.SOPInstanceUID) for ds in first[modality]}
            assert old.isdisjoint(str(ds.SOPInstanceUID) for ds in back[modality])
        (structured,) = (ds for ds in back["SR"] if "88.33" in ds.SOPClassUID)
        assert str(back["SEG"][0].SOPInstanceUID) in structured.to_json()
        (replaced,) = predecessors(structured)
        assert replaced in {
            str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in known
        }
        node.read_again(Scripted("2", Presence.ABSENT))
        assert len({one.split(b"|")[9] for one in ris.messages}) == len(ris.messages) == 4


STOW_NODE = """
[[stow]]
name = "cloud"
url = "http://{orthanc.host}:{orthanc.http_port}/dicom-web"
reject_replaced = true
[[routes]]
name = "chest"
outputs = ["sr", "sc"]
send_to = ["cloud"]
"""


def test_a_dicomweb_server_gets_rejection_notes_too(make_node: MakeNode) -> None:
    with Orthanc(dicom_web=True) as orthanc:
        node = make_node(STOW_NODE.format(orthanc=orthanc))
        node.receive()
        node.settle()
        first = set(orthanc.rest("/instances"))
        node.read_again(Scripted("2", Presence.ABSENT))
        later = set(orthanc.rest("/instances")) - first
        tags = [orthanc.rest(f"/instances/{one}/simplified-tags") for one in later]
        assert sorted(one["Modality"] for one in tags) == ["KO", "OT", "SR"]
        (note,) = (one for one in tags if one["Modality"] == "KO")
        assert note["ConceptNameCodeSequence"][0]["CodeValue"] == "113001"
        assert {row[2] for row in node.sent()} == {"completed"}


def test_a_study_that_is_not_here_is_said(
    make_node: MakeNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_node(NODE.format(pacs=1, ris=2, rejects="false"))
    assert main(["reanalyse", "-c", str(tmp_path / "node.toml"), "--study", "1.2.3"]) == 1
    assert main(["reanalyse", "-c", str(tmp_path / "node.toml"), "--since", "2020-01-01"]) == 1
    assert capsys.readouterr().out == "0 images wait to be read again\n" * 2
