"""New files are taken up without a restart, at every door and on every way out."""

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.assembly import destinations
from dicom_node.assembly import parts as node
from dicom_node.assembly.destinations import outgoing
from dicom_node.assembly.parts import Parts
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.options import prepare
from dicom_node.network.dimse.scu import echo
from dicom_node.network.hl7.mllp import Timeouts, deliver
from dicom_node.network.tls.contexts import client_context, fetch_certificate, server_context
from dicom_node.operations.certificates import certificate_faults
from dicom_node.roles import dicomweb, orders
from dicom_node.settings.settings import load_settings
from tests.support.certificates import Authority, Pair
from tests.support.listeners import SecureHL7Listener, free_port
from tests.support.order_messages import MESSAGE
from tests.support.receiver import Setup, receiver
from tests.support.tls_files import files_of

CONFIGURATION = """
[tls]
mode = "mutual"
certificate = "ours.pem"
key = "ours.key"
ca = "ca.pem"
[orders]
host = "127.0.0.1"
port = {orders}
tls = true
callers = ["127.0.0.1"]
[dicomweb]
host = "127.0.0.1"
port = {web}
tls = true
[[peers]]
name = "pacs"
ae_title = "CXRAI"
host = "127.0.0.1"
port = {pacs}
tls = true
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = {ris}
tls = true
"""
PORTS = ("orders", "web", "pacs", "ris")


def install(pair: Pair, folder: Path) -> None:
    """Put a certificate and its key in the place of ours, as a renewal does."""
    shutil.copy(pair.key, folder / "ours.key")
    shutil.copy(pair.certificate, folder / "ours.pem")


@pytest.fixture
def parts(tmp_path: Path, authority: Authority) -> Iterator[Parts]:
    install(authority.issue("before"), tmp_path)
    shutil.copy(authority.ca, tmp_path / "ca.pem")
    config = tmp_path / "node.toml"
    config.write_text(CONFIGURATION.format(**{name: free_port() for name in PORTS}))
    made = node.open_parts(load_settings(config), migrate=True)
    yield made
    made.close()


def renewed(
    see: Callable[[], bytes | None], authority: Authority, folder: Path
) -> tuple[bytes | None, bytes | None]:
    """Look before and after a renewal."""
    before = see()
    install(authority.issue("after"), folder)
    return before, see()


@pytest.mark.parametrize("role", [orders.listener, dicomweb.server])
def test_callers_see_the_new_certificate(
    role: Callable[[Parts], orders.MllpListener | dicomweb.StowSCP],
    parts: Parts,
    authority: Authority,
    peer_pair: Pair,
    tmp_path: Path,
) -> None:
    caller = client_context(files_of(peer_pair, authority.ca))
    door = role(parts)
    door.start()
    seen = renewed(
        lambda: fetch_certificate("127.0.0.1", door.port, 5, lambda: caller), authority, tmp_path
    )
    door.stop(1)
    assert None not in seen and seen[0] != seen[1]


class Watching(SecureHL7Listener):
    """A receiver that keeps the certificate of its last caller."""

    shown: bytes | None = None

    def _serve(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as secured:
            self.shown = secured.getpeercert(binary_form=True)
            super(SecureHL7Listener, self)._serve(secured)


def test_an_hl7_receiver_sees_the_new_certificate(
    parts: Parts, authority: Authority, peer_pair: Pair, tmp_path: Path
) -> None:
    contexts = outgoing(parts.settings, parts.settings.hl7[0])
    with Watching(server_context(files_of(peer_pair, authority.ca), mutual=True)) as ris:

        def see() -> bytes | None:
            deliver(MESSAGE, ris.host, ris.port, Timeouts(5, 5), contexts)
            return ris.shown

        seen = renewed(see, authority, tmp_path)
    assert None not in seen and seen[0] != seen[1]


def test_a_pacs_sees_the_new_certificate(
    parts: Parts, authority: Authority, peer_pair: Pair, tmp_path: Path
) -> None:
    prepare()
    context = server_context(files_of(peer_pair, authority.ca), mutual=True)
    callers: list[bytes | None] = []

    def secure(connection: socket.socket) -> socket.socket:
        secured: ssl.SSLSocket = context.wrap_socket(connection, server_side=True)
        callers.append(secured.getpeercert(binary_form=True))
        return secured

    (tmp_path / "pacs").mkdir()
    with receiver(tmp_path / "pacs", Setup((Peer("us", "CXRAI"),), secure=secure)) as pacs:
        configured = destinations.target(parts.settings, "pacs")
        us = replace(configured, peer=replace(configured.peer, port=pacs.port))

        def see() -> bytes | None:
            assert echo(us).ok
            return callers[-1]

        seen = renewed(see, authority, tmp_path)
    assert None not in seen and seen[0] != seen[1]


def test_a_certificate_that_only_the_audit_trail_uses_is_watched(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("trail", days=(-300, 10))
    config = tmp_path / "node.toml"
    files = f'certificate = "{pair.certificate}"\nkey = "{pair.key}"\n'
    config.write_text(f'[tls]\n{files}[audit]\nsyslog = "h:6514"\ntransport = "tls"\n')
    (fault,) = certificate_faults(load_settings(config), time.time())
    assert "(CN=trail) expires on" in fault
