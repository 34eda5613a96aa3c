"""Peers that take only some classes get the right object, once."""

from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ImplicitVRLittleEndian
from structlog.testing import capture_logs

from dicom_node.assembly.negotiation import acceptance_checks, ask, ask_all
from dicom_node.commands import check as checks
from dicom_node.commands.status import in_words
from dicom_node.domain.exchange.substitution import SOP_CLASSES, SR_SOP_CLASSES
from dicom_node.storage.queue.capabilities import refused_by
from dicom_node.storage.status.status import take_snapshot
from tests.support.dimse_peers import restricted
from tests.support.listeners import free_port
from tests.support.node import MakeNode
from tests.support.validators import errors_of, structured_report

pytestmark = pytest.mark.peers

NODE = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
sr_class = "{sr_class}"
[[routes]]
name = "chest"
outputs = {outputs}
send_to = ["pacs"]
"""


def configured(port: int, outputs: list[str], sr_class: str = "comprehensive") -> str:
    wanted = str(outputs).replace("'", '"')
    return NODE.format(port=port, outputs=wanted, sr_class=sr_class)


LADDER = [
    ("comprehensive3d", [SR_SOP_CLASSES["comprehensive"], SR_SOP_CLASSES["enhanced"]]),
    ("comprehensive3d", [SR_SOP_CLASSES["enhanced"], SOP_CLASSES["text_sr"]]),
    ("comprehensive", [SOP_CLASSES["text_sr"], SOP_CLASSES["sc"]]),
    ("comprehensive", [SOP_CLASSES["sc"]]),
]


def test_a_peer_that_cannot_be_asked_is_not_said_to_refuse(make_node: MakeNode) -> None:
    parts = make_node(configured(free_port(), ["sr", "sc"])).parts
    with capture_logs() as logs:
        peer = parts.settings.peers[0]
        (check,) = acceptance_checks(parts.settings, peer, ask(parts, peer))
    assert (check.ok, check.words) == (False, "cannot be asked now; the log says why")
    assert [line["event"] for line in logs] == ["peer_not_asked"]


@pytest.mark.parametrize("asked_before", [True, False])
@pytest.mark.parametrize(("sr_class", "taken"), LADDER)
def test_the_richest_report_that_a_peer_takes_arrives_once(
    sr_class: str, taken: list[str], asked_before: bool, make_node: MakeNode, tmp_path: Path
) -> None:
    with restricted(tmp_path, *taken) as peer:
        node = make_node(configured(peer.port, ["sr"], sr_class))
        if asked_before:
            ask_all(node.parts)
        node.receive()
        with capture_logs() as logs:
            node.settle()
        (arrived,) = peer.files
        ds = dcmread(arrived)
        assert ds.SOPClassUID == taken[0]
        assert not errors_of(arrived)
        if ds.Modality == "SR":
            assert "Pneumothorax" in structured_report(arrived)
        (told,) = [line for line in logs if line["event"] == "object_replaced"]
        assert told["wanted"] == f"sr ({sr_class})"
        assert UID(SR_SOP_CLASSES[sr_class]) in told["reason"]  # type: ignore[index] # a key
        refusals = [line["event"] for line in logs].count("delivery_refused")
        assert refusals == (0 if asked_before else 1)
        snapshot = take_snapshot(node.parts.engine, 0.0)
        assert [(one.wanted, one.sent) for one in snapshot.replaced] == [
            (told["wanted"], told["sent"])
        ]
        assert not snapshot.dead_letters
        assert f"replaced    pacs: sr ({sr_class}) by {told['sent']}" in in_words(snapshot, 0)


def test_all_kinds_that_fall_to_the_overlay_are_one_overlay(
    make_node: MakeNode, tmp_path: Path
) -> None:
    with restricted(tmp_path, SOP_CLASSES["sc"]) as peer:
        node = make_node(configured(peer.port, ["seg", "sr", "text_sr", "sc", "gsps", "pdf"]))
        node.receive()
        with capture_logs() as logs:
            node.settle()
        assert [line["event"] for line in logs].count("peer_asked") == 1
        (arrived,) = peer.files
        assert dcmread(arrived).Modality == "OT"
        counted = Counter((kind, state) for _, kind, state in node.sent())
        assert counted[("sc", "completed")] == 1
        assert {state for (kind, state) in counted if kind != "sc"} == {"cancelled"}


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_report_refers_to_no_segmentation_that_the_peer_refused(
    asked_before: bool, make_node: MakeNode, tmp_path: Path
) -> None:
    classes = [SR_SOP_CLASSES["comprehensive"], SOP_CLASSES["sc"]]
    with restricted(tmp_path, *classes) as peer:
        node = make_node(configured(peer.port, ["sr", "seg"]))
        if asked_before:
            ask_all(node.parts)
        node.receive()
        node.settle()
        arrived = {ds.Modality: ds for ds in map(dcmread, peer.files)}
        # where it was not known before, the report had gone out and is not sent again
        assert len(peer.files) == 2
        assert set(arrived) == {"SR", "OT"}
        assert (SOP_CLASSES["seg"] in arrived["SR"].to_json()) is not asked_before
        assert not any(errors_of(path) for path in peer.files)


@pytest.mark.parametrize("outputs", [["seg", "sr", "text_sr", "sc", "gsps", "kos", "pdf"]])
def test_a_peer_of_implicit_little_endian_gets_it(
    outputs: list[str], make_node: MakeNode, tmp_path: Path
) -> None:
    classes = [SR_SOP_CLASSES["comprehensive"], *SOP_CLASSES.values()]
    with restricted(tmp_path, *classes, syntax="LittleEndianImplicit") as peer:
        node = make_node(configured(peer.port, outputs))
        node.receive()
        node.settle()
        assert len(peer.files) == len(outputs)
        for path in peer.files:
            assert dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
            assert not errors_of(path)


def test_a_peer_that_takes_nothing_is_an_alarm_and_no_loop(
    make_node: MakeNode, tmp_path: Path
) -> None:
    with restricted(tmp_path, "1.2.840.10008.5.1.4.1.1.2") as peer:
        node = make_node(configured(peer.port, ["sr", "seg"]))
        node.receive()
        assert node.settle() <= 4
        assert not peer.files
        snapshot = take_snapshot(node.parts.engine, 0.0)
        assert [alarm.kind for alarm in snapshot.alarms] == ["delivery_discarded"]
        assert sorted(letter.subject.split()[0] for letter in snapshot.dead_letters) == [
            "seg",
            "sr",
        ]
        assert all("does not accept" in letter.words for letter in snapshot.dead_letters)


def test_a_peer_that_is_away_keeps_what_is_known_of_it(make_node: MakeNode) -> None:
    node = make_node(configured(free_port(), ["sr"]))
    ask_all(node.parts)
    assert refused_by(node.parts.engine, "pacs", 0.0) == frozenset()


def test_check_says_what_a_peer_will_get(make_node: MakeNode, tmp_path: Path) -> None:
    with restricted(
        tmp_path, SOP_CLASSES["text_sr"], SOP_CLASSES["seg"], "1.2.840.10008.1.1"
    ) as peer:
        node = make_node(configured(peer.port, ["sr", "seg", "sc"]))
        said = {
            line.name: (line.ok, line.words)
            for line in checks.all_checks(node.parts.settings)
            if line.name.startswith("pacs")
        }
    assert said["pacs sr"] == (
        True,
        "does not accept Comprehensive SR Storage: "
        "gets text_sr (Explicit VR Little Endian) instead",
    )
    assert said["pacs seg"] == (True, "accepts Segmentation Storage (Explicit VR Little Endian)")
    assert said["pacs sc"][0] is False
