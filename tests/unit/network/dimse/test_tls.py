"""Associations over TLS: records, identities, and callers that do no TLS."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.options import Timeouts
from dicom_node.network.tls.contexts import client_context
from tests.support.certificates import Authority, Pair
from tests.support.encoded import chest
from tests.support.listeners import until
from tests.support.raw_scu import CR, EXPLICIT, RawSCU, associate_rq, message_pdus, uid, us
from tests.support.receiver import XRAY, Receiver, Setup, receiver
from tests.support.tls_files import entry, files_of

NOT_RECOGNISED = (1, 1, 3)


@pytest.fixture
def node(files: TlsFiles, tmp_path: Path) -> Iterator[Receiver]:
    peers = (XRAY, Peer("safe", "SAFE", "127.0.0.1", tls=True))
    with receiver(tmp_path, Setup(peers, secure=entry(files))) as running:
        yield running


def refused(port: int, wrap: Callable[[socket.socket], socket.socket]) -> None:
    """Meet a closed door: an alert or the end, but nothing of DICOM."""
    answer = b""
    plain = socket.create_connection(("127.0.0.1", port), 5)
    with plain, suppress(OSError), wrap(plain) as line:
        line.sendall(associate_rq(((CR, (EXPLICIT,)),), b"XRAY1", b"CXRAI"))
        answer = line.recv(1)
    assert answer in (b"", b"\x15")  # an alert in plain text (RFC 8446 6)


def test_images_come_in_over_tls(
    node: Receiver, wrap: Callable[[socket.socket], socket.socket]
) -> None:
    for caller in (b"XRAY1", b"SAFE"):
        with RawSCU(node.port, calling=caller, wrap=wrap) as scu:
            assert scu.store(chest()).status == 0
            assert scu.release()
    assert len(node.files()) == 1


def test_records_need_not_fit_the_pdus(
    node: Receiver, wrap: Callable[[socket.socket], ssl.SSLSocket]
) -> None:
    def pdus(number: int) -> list[bytes]:
        elements = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(number), 0x0700: us(0)}
        elements |= {0x0800: us(0), 0x1000: uid("1.2.3")}
        return list(message_pdus(elements, chest(), 1, 4096))

    with RawSCU(node.port, wrap=wrap) as scu:
        many = b"".join(pdus(1) + pdus(2))  # several PDUs in one record, some in two
        scu.socket.sendall(many)
        assert [scu.read_response().status, scu.read_response().status] == [0, 0]
        echo = {0x0002: uid("1.2.840.10008.1.1"), 0x0100: us(0x30), 0x0110: us(9)}
        for byte in b"".join(message_pdus(echo | {0x0800: us(0x101)}, None, 1, 4096)):
            scu.socket.sendall(bytes([byte]))  # a record for each byte
        assert scu.read_response().status == 0


def test_half_a_record_keeps_nothing_waiting(
    files: TlsFiles, authority: Authority, peer_pair: Pair, tmp_path: Path
) -> None:
    """The network's end shows within the time-out although a record has begun."""
    limits = Timeouts(acse_s=1, network_s=1)
    context = client_context(files_of(peer_pair, authority.ca))
    with receiver(tmp_path, Setup(secure=entry(files), timeouts=limits)) as node:
        plain = socket.create_connection(("127.0.0.1", node.port), 5)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        plain.sendall(outgoing.read())
        session.write(b"\1\0" + bytes(100))
        plain.sendall(outgoing.read()[:20])
        started = time.monotonic()
        while plain.recv(65536):
            pass
        assert time.monotonic() - started < 20
        plain.close()
        until(lambda: not node.scp._server.connections, "the end")  # type: ignore[union-attr] # it runs


def test_who_proves_nothing_stays_out(
    node: Receiver, authority: Authority, stranger: Authority
) -> None:
    expired = authority.issue("expired peer", days=(-10, -1))
    nobody = TlsFiles(ca=str(authority.ca))
    with capture_logs() as logs:
        for ours in (
            files_of(stranger.issue("peer"), authority.ca),
            files_of(expired, authority.ca),
            nobody,
        ):
            context = client_context(ours)
            refused(node.port, partial(context.wrap_socket, server_hostname="127.0.0.1"))
        refused(node.port, lambda plain: plain)
        until(lambda: len(logs) > 3, "the log")
    assert {(one["event"], one["host"]) for one in logs} == {("tls_handshake_failed", "127.0.0.1")}
    assert {one["reason"] for one in logs} == {
        "the certificate is not accepted: unable to get local issuer certificate",
        "the certificate is not accepted: certificate has expired",
        "the caller shows no certificate",
        "no TLS was spoken, or a version that is too old",
    }


def test_a_peer_with_tls_is_not_served_without(tmp_path: Path) -> None:
    safe = Peer("safe", "SAFE", "127.0.0.1", tls=True)
    with (
        receiver(tmp_path, Setup((safe,))) as node,
        RawSCU(node.port, calling=b"SAFE") as scu,
        capture_logs(),
    ):
        assert scu.rejection == NOT_RECOGNISED


def test_a_pinned_peer_must_show_that_certificate(
    files: TlsFiles, authority: Authority, peer_pair: Pair, tmp_path: Path
) -> None:
    other = authority.issue("other")
    safe = Peer("safe", "SAFE", "127.0.0.1", tls=True, tls_fingerprint=peer_pair.fingerprint)
    with receiver(tmp_path, Setup((safe,), secure=entry(files))) as node:
        for pair, taken in ((peer_pair, True), (other, False)):
            context = client_context(files_of(pair, authority.ca))
            wrap = partial(context.wrap_socket, server_hostname="127.0.0.1")
            with RawSCU(node.port, calling=b"SAFE", wrap=wrap) as scu:
                if taken:
                    assert scu.accepted == {1: 0}
                else:
                    assert scu.rejection == NOT_RECOGNISED


def test_new_connections_see_the_new_certificate(
    files: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    ours = replace(files, certificate=str(tmp_path / "c"), key=str(tmp_path / "k"))
    context = client_context(TlsFiles(ca=str(authority.ca)))

    def shown(port: int) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port), 5)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            return secured.getpeercert(binary_form=True) or b""

    def install(pair: Pair) -> None:
        Path(ours.key).write_bytes(pair.key.read_bytes())
        Path(ours.certificate).write_bytes(pair.certificate.read_bytes())

    install(authority.issue("first"))
    with receiver(tmp_path, Setup(secure=entry(ours, mutual=False))) as node:
        before = shown(node.port)
        assert shown(node.port) == before
        install(authority.issue("second"))
        assert shown(node.port) != before
