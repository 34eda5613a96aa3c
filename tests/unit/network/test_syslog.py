import socket
import ssl
from pathlib import Path

import pytest

from dicom_node.audit import trail as audit_trail
from dicom_node.audit.chain import verify
from dicom_node.audit.events import Endpoint, application_activity
from dicom_node.audit.trail import Place, Trail, backlog
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.syslog import Server, frame, send
from dicom_node.network.tls.contexts import Following, client_context
from tests.support.audit import SyslogServer
from tests.support.certificates import Authority
from tests.support.listeners import free_port, until

STARTED = application_activity(Endpoint("CXRAI", "here"), "receive", 1.0, started=True)


def test_a_message_is_framed_as_rfc_5424_says() -> None:
    head, _, message = frame("<é/>", 0.25, "my host", 7).partition(b"\xef\xbb\xbf")
    assert head == b"<85>1 1970-01-01T00:00:00.250+00:00 my-host dicom-node 7 DICOM+RFC3881 - "
    assert message.decode() == "<é/>"


def test_what_was_written_while_the_server_was_away_follows_in_order(tmp_path: Path) -> None:
    port = free_port()
    trail = Trail(Place(tmp_path / "a.log", "CXRAI@here", "", Server("127.0.0.1", port)))
    for _ in range(3):
        trail.note(STARTED)
    trail.close()
    assert backlog(tmp_path / "a.log") == (tmp_path / "a.log").stat().st_size
    with SyslogServer(port) as server:
        again = Trail(Place(tmp_path / "a.log", "CXRAI@here", "", Server("127.0.0.1", port)))
        again.note(STARTED)
        until(lambda: len(server.frames) == 4, "the messages")
        again.note(STARTED)
        again.close()
        assert len(server.frames) == 5
    assert backlog(tmp_path / "a.log") == 0
    assert verify(tmp_path / "a.log").lines == 5


def test_a_server_that_takes_nothing_gets_all_again(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.log", "CXRAI@here")
    trail = Trail(place)
    trail.note(STARTED)
    trail.close()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TryAgain):
        audit_trail.forward(place, Server("127.0.0.1", port), 1.0)
    with SyslogServer() as server:
        assert audit_trail.forward(place, Server("127.0.0.1", server.port), 1.0) == 1
        assert audit_trail.forward(place, Server("127.0.0.1", server.port), 1.0) == 0
        assert len(server.frames) == 1


def test_over_tls_only_a_server_that_is_trusted_gets_messages(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    pair = authority.issue("syslog")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    def to(port: int, trusted: Authority) -> Server:
        contexts = Following(TlsFiles("", "", "", str(trusted.ca)), client_context)
        return Server("127.0.0.1", port, "tls", contexts)

    with SyslogServer(context=context) as server:
        send([b"one", b"two\n"], to(server.port, authority))
        until(lambda: len(server.frames) == 2, "the messages")
        assert server.frames == [b"one", b"two\n"]
        with pytest.raises(TryAgain, match="certificate"):
            send([b"three"], to(server.port, other))
    assert server.frames == [b"one", b"two\n"]


def test_by_udp_each_message_is_a_datagram(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        send([b"one", b"two"], Server("127.0.0.1", server.getsockname()[1], "udp"))
        assert [server.recv(100), server.recv(100)] == [b"one", b"two"]
