"""HL7 over TLS, heard and sent."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.operations.tls import TlsFiles, fingerprint
from dicom_node.domain.study import HL7Destination
from dicom_node.network.hl7.listener import ListenerOptions, MllpListener
from dicom_node.network.hl7.mllp import Timeouts, deliver, frame, probe
from dicom_node.network.tls.contexts import client_context, server_context
from dicom_node.network.tls.sockets import Context
from tests.support.certificates import Authority, Pair
from tests.support.listeners import SecureHL7Listener, until
from tests.support.order_messages import MESSAGE
from tests.support.tls_files import entry, files_of

TIMEOUTS = Timeouts(connect_s=5, answer_s=5)
ACCEPTED = b"MSH|^~\\&|CXRAI\rMSA|AA|"


def echo(content: bytes) -> bytes:
    return ACCEPTED + content.split(b"|")[9] + b"\r"


@contextmanager
def listening(options: ListenerOptions) -> Iterator[MllpListener]:
    listener = MllpListener("127.0.0.1", 0, options)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(5)


@pytest.fixture
def options(files: TlsFiles) -> ListenerOptions:
    return ListenerOptions(echo, admits=lambda _: True, secure=entry(files))


@pytest.fixture
def client(peer_pair: Pair, authority: Authority) -> Callable[[], Context]:
    context = client_context(files_of(peer_pair, authority.ca))
    return lambda: context


def test_orders_are_heard_over_tls_alone(
    options: ListenerOptions, client: Callable[[], Context]
) -> None:
    with listening(options) as listener:
        to = ("127.0.0.1", listener.port, TIMEOUTS)
        assert deliver(MESSAGE, *to, client).startswith("AA")
        with capture_logs() as logs:
            with pytest.raises(TryAgain):
                deliver(MESSAGE, *to)
            until(lambda: len(logs) > 0, "the log")
    assert logs[0]["reason"] == "no TLS was spoken, or a version that is too old"


def test_openssl_is_answered(
    options: ListenerOptions, authority: Authority, peer_pair: Pair
) -> None:
    with listening(options) as listener:
        command = ["openssl", "s_client", "-quiet", "-verify_return_error"]
        command += ["-connect", f"127.0.0.1:{listener.port}", "-CAfile", str(authority.ca)]
        command += ["-cert", str(peer_pair.certificate), "-key", str(peer_pair.key)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(frame(MESSAGE))
            process.stdin.flush()
            wanted = frame(echo(MESSAGE))
            assert process.stdout.read(len(wanted)) == wanted
            process.stdin.close()
            process.terminate()


def test_a_stop_answers_what_came_and_waits_for_no_handshake(
    options: ListenerOptions, client: Callable[[], Context]
) -> None:
    def slowly(content: bytes) -> bytes:
        time.sleep(0.3)
        return echo(content)

    listener = MllpListener("127.0.0.1", 0, replace(options, answer=slowly, handshake_s=1))
    listener.start()
    silent = socket.create_connection(("127.0.0.1", listener.port), 5)
    plain = socket.create_connection(("127.0.0.1", listener.port), 5)
    with silent, client().wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        secured.sendall(frame(MESSAGE))
        time.sleep(0.15)
        started = time.monotonic()
        listener.stop(30)
        assert time.monotonic() - started < 20
        assert secured.recv(100) == frame(echo(MESSAGE))


def test_results_are_sent_over_tls(
    files: TlsFiles, client: Callable[[], Context], stranger: Authority, node_pair: Pair
) -> None:
    stranger_ca = partial(client_context, TlsFiles(ca=str(stranger.ca)))
    pinned = partial(client_context, TlsFiles(), fingerprint(node_pair.fingerprint))
    other = partial(client_context, TlsFiles(), "ab" * 32)
    with SecureHL7Listener(server_context(files, mutual=False)) as ris:
        to = HL7Destination("ris", ris.host, ris.port, tls=True)
        for good in (client, pinned):
            words = deliver(MESSAGE, ris.host, ris.port, TIMEOUTS, good)
            assert words.startswith("AA")
            assert probe(to, good).words.endswith("takes connections over TLS")
        assert ris.messages == [MESSAGE] * 2
        for bad, why in ((stranger_ca, "is not accepted"), (other, "tls_fingerprint")):
            with pytest.raises(TryAgain, match=why):
                deliver(MESSAGE, ris.host, ris.port, TIMEOUTS, bad)
            answer = probe(to, bad)
            assert not answer.ok
            assert why in answer.words
        assert len(ris.messages) == 2


def test_a_receiver_that_shakes_no_hands_is_given_up_in_time(client: Callable[[], Context]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(TryAgain, match="in time"):
        deliver(MESSAGE, "127.0.0.1", mute.getsockname()[1], Timeouts(0.5, 1), client)
