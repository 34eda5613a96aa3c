"""Results sent to DCMTK's storescp and to Orthanc."""

import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.dsutils import split_dataset

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import send_paths
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.scu import accepted, echo, outgoing, store
from tests.support.dimse_peers import SC, SEG, SR, make_object, running_scp, wrap
from tests.support.listeners import Orthanc, Storescp

pytestmark = pytest.mark.peers
LIMITS = Timeouts(5, 30, 30, 30)


@pytest.fixture(autouse=True, scope="module")
def _prepared() -> None:
    prepare()


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    with Orthanc() as started:
        yield started


def pacs(orthanc: Orthanc) -> Target:
    return Target(Peer("pacs", "ORTHANC", orthanc.host, orthanc.dicom_port), "CXRAI", LIMITS)


def test_orthanc_finds_the_results_in_their_study(orthanc: Orthanc, tmp_path: Path) -> None:
    files = [
        make_object(tmp_path / "seg", SEG, "1.2.3.1"),
        make_object(tmp_path / "sr", SR, "1.2.3.2"),
        make_object(tmp_path / "sc", SC, "1.2.3.3"),
    ]
    assert echo(pacs(orthanc)).ok
    assert list(store(files, pacs(orthanc))) == ["0x0000 stored"] * 3
    found = orthanc.study("1.2.3")
    assert {(one["SOPClassUID"], one["SOPInstanceUID"]) for one in found} == {
        (file.sop_class_uid, file.sop_instance_uid) for file in files
    }
    assert {one["PatientName"] for one in found} == {"M\xfcller^Anna"}
    # sent again after a lost answer: still one of each
    assert list(store(files, pacs(orthanc))) == ["0x0000 stored"] * 3
    assert len(orthanc.study("1.2.3")) == 3


def test_orthanc_keeps_an_encapsulated_capture_byte_for_byte(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    ds = dcmread(make_object(tmp_path / "sc", SC, "1.2.9.1").path)
    ds.StudyInstanceUID = "1.2.9"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([b"\xff\xd8" + bytes(range(200)) + b"\xff\xd9"])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "jpeg")
    assert list(store([outgoing(tmp_path / "jpeg")], pacs(orthanc))) == ["0x0000 stored"]
    (found,) = orthanc.rest(
        "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": "1.2.9"}}
    )
    (tmp_path / "back").write_bytes(orthanc.content(f"/instances/{found}/file"))
    assert data_set_of(tmp_path / "back") == data_set_of(tmp_path / "jpeg")


def test_orthanc_can_send_to_a_port_out_here(tmp_path: Path) -> None:
    with (
        running_scp() as scp,
        Orthanc(modalities={"node": ("PEER", scp.target.peer.port)}) as orthanc,
    ):
        assert list(store([make_object(tmp_path / "a")], pacs(orthanc))) == ["0x0000 stored"]
        (instance,) = orthanc.rest("/instances")
        orthanc.rest("/modalities/node/echo", {})
        orthanc.rest("/modalities/node/store", [instance])
    assert [ds.SOPInstanceUID for ds in scp.decoded()] == ["1.2.3.1"]


def test_orthanc_with_a_strict_called_title_is_asked_again(tmp_path: Path) -> None:
    with Orthanc(options={"DicomCheckCalledAet": True}) as orthanc:
        peer = Peer("pacs", "WRONG", orthanc.host, orthanc.dicom_port)
        (result,) = store([make_object(tmp_path / "a")], Target(peer, "CXRAI", LIMITS))
        assert isinstance(result, TryAgain)
        assert "called AE title not recognized" in str(result)
        assert list(store([make_object(tmp_path / "a")], pacs(orthanc))) == ["0x0000 stored"]


def test_orthanc_with_a_password_and_dicomweb() -> None:
    with Orthanc(dicom_web=True, user=("alice", "secret")) as orthanc:
        assert "dicom-web" in orthanc.rest("/plugins")
        assert orthanc.rest("/dicom-web/studies") == []


def test_orthanc_is_not_reachable_but_by_its_relays(orthanc: Orthanc) -> None:
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert f":{4242:04X} " not in listening
    assert f":{8042:04X} " not in listening


def test_storescp_keeps_what_was_sent(tmp_path: Path) -> None:
    files = [
        make_object(tmp_path / "seg", SEG, "1.2.3.1"),
        make_object(tmp_path / "sr", SR, "1.2.3.2"),
    ]
    with Storescp(tmp_path / "stored") as peer:
        target = Target(Peer("pacs", "STORESCP", peer.host, peer.port), "CXRAI", LIMITS)
        assert echo(target).ok
        assert list(store(files, target)) == ["0x0000 stored"] * 2
        stored = peer.files
    assert [dcmread(one) for one in stored] == [dcmread(file.path) for file in files]


def test_storescp_of_one_syntax_is_served_in_it_or_told_why_not(tmp_path: Path) -> None:
    native = make_object(tmp_path / "seg", SEG)
    jpeg = wrap(tmp_path / "jpeg", b"", JPEGBaseline8Bit)
    with Storescp(tmp_path / "stored", "--implicit") as peer:
        target = Target(Peer("pacs", "STORESCP", peer.host, peer.port), "CXRAI", LIMITS)
        assert accepted(target, [(SEG, ExplicitVRLittleEndian), (SEG, "1.2.840.10008.1.2")]) == (
            False,
            True,
        )
        first, second = store([native, jpeg], target)
        (stored,) = peer.files
    assert first == "0x0000 stored"
    assert dcmread(stored) == dcmread(native.path)
    assert isinstance(second, GiveUp)
    assert "JPEG Baseline" in str(second)


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during", "--refuse"])
def test_storescp_that_breaks_off_is_asked_again(tmp_path: Path, option: str) -> None:
    with Storescp(tmp_path / "stored", option) as peer:
        target = Target(Peer("pacs", "STORESCP", peer.host, peer.port), "CXRAI", LIMITS)
        results = list(store([make_object(tmp_path / f"{n}") for n in range(2)], target))
    assert len(results) == 2
    assert all(isinstance(one, TryAgain) for one in results)


@pytest.mark.data
def test_storescp_gets_every_shared_file_unchanged(shared: Path, tmp_path: Path) -> None:
    options = ("--accept-all", "--promiscuous", "--bit-preserving", "--timenames")
    with Storescp(tmp_path / "stored", *options) as peer:
        target = Target(Peer("pacs", "STORESCP", peer.host, peer.port), "CXRAI", LIMITS)
        sent = send_paths([shared / "dicom"], target, lambda one: None)
        stored = Counter(data_set_of(one) for one in peer.files)
    arrived = [one.path for one in sent if one.fate == "arrived"]
    odd = [one for one in arrived if one.name == "other_pydicom_image_dfl.dcm"]
    unpadded = data_set_of(odd[0])
    as_it_is = Counter(data_set_of(one) for one in arrived if one not in odd)
    (deflated_anew,) = (stored - as_it_is).elements()
    assert not as_it_is - stored
    assert len(unpadded) % 2 == 1
    assert len(deflated_anew) % 2 == 0
    assert inflated(deflated_anew) == inflated(unpadded)
    assert {one.path.name for one in sent if one.path not in arrived} == {
        "manifest.csv",
        "malformed_pydicom_empty_charset_LEI.dcm",
        "malformed_pydicom_nested_priv_SQ.dcm",
        "malformed_pydicom_no_meta.dcm",
        "malformed_pydicom_meta_missing_tsyntax.dcm",
    }
    assert {one.fate for one in sent} == {"arrived", "skipped"}


def inflated(deflated: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated)


def data_set_of(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]
