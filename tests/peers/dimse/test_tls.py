"""DCMTK's TLS tools call the node and are called by it."""

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.scu import echo, store
from dicom_node.network.tls.contexts import Following, client_context
from tests.support.certificates import Authority, Pair
from tests.support.dimse_peers import SC, SEG, make_object, raw_peer
from tests.support.listeners import Orthanc, Storescp
from tests.support.receiver import Setup, receiver
from tests.support.tls_files import entry, files_of, options

pytestmark = pytest.mark.peers
LIMITS = Timeouts(5, 5, 10, 10)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """An image that takes hundreds of TLS records."""
    path = tmp_path / "big.dcm"
    make_object(path, SC)
    ds = dcmread(path)
    ds.Rows = ds.Columns = 2000
    ds.PixelData = bytes(range(250)) * 32_000
    ds.save_as(path)
    return path


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_calls_over_tls(
    files: TlsFiles, authority: Authority, peer_pair: Pair, big: Path, profile: str
) -> None:
    """Profiles: non-downgrading, BCP 195, extended BCP 195."""
    peers = (Peer("scu", "STORESCU", "127.0.0.1", tls=True),)
    with receiver(big.parent, Setup(peers, secure=entry(files))) as node:
        secure = [*options(peer_pair, authority.ca), profile]
        to = ["-aet", "STORESCU", "-aec", "CXRAI", "127.0.0.1", str(node.port)]
        subprocess.run(["echoscu", *secure, *to], check=True, timeout=120)
        subprocess.run(["storescu", *secure, "-xe", *to, str(big)], check=True, timeout=120)
        (stored,) = node.files()
        assert big.read_bytes()[-8_000_000:] == stored.read_bytes()[-8_000_000:]


def test_dcmtk_is_refused_without_certificate(
    files: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    with receiver(tmp_path, Setup(secure=entry(files))) as node:
        for how in (["+tla", "+cf", str(authority.ca)], []):
            command = ["echoscu", *how, "-to", "5", "-aec", "CXRAI", "127.0.0.1", str(node.port)]
            assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0


@pytest.fixture
def storescp(authority: Authority, tmp_path: Path) -> Iterator[Storescp]:
    """Wants our certificate, shows one for 127.0.0.1."""
    secure = options(authority.issue("pacs"), authority.ca)
    with Storescp(tmp_path / "stored", *secure) as started:
        yield started


def target(storescp: Storescp, files: TlsFiles, pin: str = "") -> Target:
    peer = Peer("pacs", storescp.ae_title, storescp.host, storescp.port, tls=True)
    return Target(peer, "CXRAI", LIMITS, Following(files, lambda one: client_context(one, pin)))


def test_results_go_to_dcmtk_over_tls(
    storescp: Storescp, files: TlsFiles, big: Path, tmp_path: Path
) -> None:
    prepare()
    seg = make_object(tmp_path / "seg", SEG, "1.2.3.9")
    image = replace(seg, path=big, sop_class_uid=SC, sop_instance_uid="1.2.3.1")
    image = replace(image, size=big.stat().st_size)
    assert echo(target(storescp, files)).ok
    assert list(store([seg, image], target(storescp, files))) == ["0x0000 stored"] * 2
    assert len(storescp.files) == 2
    assert max(one.stat().st_size for one in storescp.files) > 8_000_000


def test_orthanc_and_the_node_call_each_other(
    files: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    prepare()
    theirs = authority.issue("orthanc")
    peers = (Peer("pacs", "ORTHANC", "127.0.0.1", tls=True, tls_fingerprint=theirs.fingerprint),)
    with receiver(tmp_path, Setup(peers, secure=entry(files))) as node:
        modality = {"AET": "CXRAI", "Host": "127.0.0.1", "Port": node.port, "UseDicomTls": True}
        options = {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(theirs.certificate),
            "DicomTlsPrivateKey": str(theirs.key),
            "DicomTlsTrustedCertificates": str(authority.ca),
            "DicomModalities": {"node": modality},
        }
        with Orthanc(modalities={"node": ("CXRAI", node.port)}, options=options) as orthanc:
            peer = Peer("pacs", "ORTHANC", orthanc.host, orthanc.dicom_port, tls=True)
            pacs = Target(peer, "CXRAI", LIMITS, Following(files, client_context))
            assert echo(pacs).ok
            assert list(store([make_object(tmp_path / "sc", SC)], pacs)) == ["0x0000 stored"]
            (instance,) = orthanc.rest("/instances")
            orthanc.rest("/modalities/node/store", {"Resources": [instance]})
        assert [row.sop_instance_uid for row in node.rows()] == ["1.2.3.1"]


@pytest.mark.parametrize("rude", ["silent", "plain", "gone"])
def test_a_peer_that_shakes_no_hands_is_left_in_time(files: TlsFiles, rude: str) -> None:
    def behave(connection: socket.socket) -> None:
        if rude == "plain":
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        if rude != "gone":
            connection.recv(1 << 16, socket.MSG_WAITALL)

    prepare()
    limits = Timeouts(1, 1, 1, 1)
    with raw_peer(behave, limits) as plain:
        started = time.monotonic()
        answer = echo(replace(plain, tls=Following(files, client_context)))
        assert time.monotonic() - started < 20
    assert not answer.ok
    assert answer.words.startswith(f"no TLS with {plain.where}: ")
    expected = {"silent": "no answer in time", "plain": "no TLS was spoken", "gone": ""}
    assert expected[rude] in answer.words


def test_why_tls_failed_is_said(
    storescp: Storescp, files: TlsFiles, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    prepare()
    ours = files_of(stranger.issue("us"), authority.ca)
    nobody = TlsFiles(ca=str(authority.ca))
    theirs = replace(files, ca=str(stranger.ca))
    no_file = replace(files, ca=str(tmp_path / "none"))
    pinned = target(storescp, files, "ab" * 32)
    for wrong, words in (
        (target(storescp, ours), "the other side does not know who signed our certificate"),
        (target(storescp, nobody), "tls.certificate"),
        (target(storescp, theirs), "self-signed certificate in certificate chain"),
        (pinned, "the certificate is not the one of tls_fingerprint"),
        (target(storescp, no_file), "cannot be read"),
    ):
        answer = echo(wrong)
        assert not answer.ok
        assert words in answer.words
        (result,) = store([make_object(tmp_path / "seg")], wrong)
        assert isinstance(result, TryAgain)
