"""What is spoken, with whom, and how the files are followed."""

import shutil
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.domain.operations.tls import TlsFiles, fingerprint
from dicom_node.network.tls.contexts import (
    Following,
    accept,
    client_context,
    connect,
    server_context,
)
from dicom_node.network.tls.sockets import Context, OtherCertificate, fingerprint_of, in_words
from tests.support.certificates import Authority, Pair

MUTUAL = partial(server_context, mutual=True)


def handshake(server: Context, client: Context) -> tuple[Exception | None, str, str]:
    """Say what a client meets; then the protocol, and the fingerprint that the server saw."""
    seen: list[str] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        try:
            with connection, accept(connection, lambda: server) as secured:
                seen.append(fingerprint_of(secured))
                secured.sendall(b"hello")
        except OSError:
            seen.append("")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        try:
            with connect("127.0.0.1", port, 5, lambda: client) as line:
                assert isinstance(line, ssl.SSLSocket)
                version = str(line.version())
                # TLS 1.3: a client learns here whether its certificate was taken
                assert line.recv(5) == b"hello"
        except OSError as error:
            return error, "", ""
        finally:
            thread.join(5)
    return None, version, seen[0]


def test_both_sides_know_each_other(files: TlsFiles, authority: Authority, peer_pair: Pair) -> None:
    theirs = TlsFiles(str(peer_pair.certificate), str(peer_pair.key), ca=str(authority.ca))
    failed, version, seen = handshake(MUTUAL(files), client_context(theirs))
    assert failed is None
    assert version == "TLSv1.3"
    assert seen == fingerprint(peer_pair.fingerprint)


def test_version_1_2_has_forward_secrecy_or_fails(files: TlsFiles) -> None:
    server = server_context(files, mutual=False)
    client = client_context(files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(server, client)[1] == "TLSv1.2"
    client.set_ciphers("AES256-GCM-SHA384:ECDHE+AES+SHA")
    failed, _, _ = handshake(server, client)
    assert isinstance(failed, ssl.SSLError)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")  # the old version is the point
def test_older_versions_are_refused(files: TlsFiles) -> None:
    client = client_context(files)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    failed, _, _ = handshake(server_context(files, mutual=False), client)
    assert isinstance(failed, ssl.SSLError)


def test_who_shows_no_certificate_is_refused(files: TlsFiles, authority: Authority) -> None:
    failed, _, _ = handshake(MUTUAL(files), client_context(TlsFiles(ca=str(authority.ca))))
    assert failed is not None
    assert in_words(failed) == "the peer asks for our certificate (tls.certificate)"


@pytest.mark.parametrize("fault", ["authority", "host", "expired", "early"])
def test_a_server_that_proves_nothing_is_left(
    authority: Authority, stranger: Authority, fault: str
) -> None:
    issue: dict[str, Callable[[], Pair]] = {
        "authority": lambda: stranger.issue("node"),
        "host": lambda: authority.issue("elsewhere", host=""),
        "expired": lambda: authority.issue("expired", days=(-10, -1)),
        "early": lambda: authority.issue("early", days=(1, 10)),
    }
    pair = issue[fault]()
    server = server_context(TlsFiles(str(pair.certificate), str(pair.key)), mutual=False)
    failed, _, _ = handshake(server, client_context(TlsFiles(ca=str(authority.ca))))
    assert isinstance(failed, ssl.SSLCertVerificationError)
    expected = {
        "authority": "unable to get local issuer certificate",
        "host": "IP address mismatch",
        "expired": "certificate has expired",
        "early": "certificate is not yet valid",
    }[fault]
    assert expected in in_words(failed)


def test_a_pin_stands_for_name_and_authority(
    authority: Authority, stranger: Authority, node_pair: Pair
) -> None:
    pair = stranger.issue("pinned", host="")
    server = server_context(TlsFiles(str(pair.certificate), str(pair.key)), mutual=False)
    ours = TlsFiles(ca=str(authority.ca))
    assert handshake(server, client_context(ours, fingerprint(pair.fingerprint)))[0] is None
    failed, _, _ = handshake(server, client_context(ours, fingerprint(node_pair.fingerprint)))
    assert isinstance(failed, OtherCertificate)


def copied(files: TlsFiles, folder: Path) -> TlsFiles:
    """The same files where a test may change them."""
    shutil.copy(files.certificate, folder / "c.pem")
    shutil.copy(files.key, folder / "k.pem")
    return TlsFiles(str(folder / "c.pem"), str(folder / "k.pem"), ca=files.ca)


def test_new_files_are_taken_up_and_broken_ones_not(
    files: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    ours = copied(files, tmp_path)
    contexts = Following(ours, MUTUAL)
    first = contexts()
    assert contexts() is first
    newer = authority.issue("newer")
    shutil.copy(newer.certificate, ours.certificate)  # the key is still the old one
    with capture_logs() as logs:
        assert contexts() is first
        assert contexts() is first
        newer.key.replace(ours.key)
        second = contexts()
    assert second is not first
    assert [one["event"] for one in logs] == ["certificate_not_reloaded", "certificate_reloaded"]
    assert "not of one pair" in logs[0]["reason"]
    client = client_context(TlsFiles(str(newer.certificate), ours.key, ca=files.ca))
    assert handshake(second, client)[2] == fingerprint(newer.fingerprint)


def test_files_that_are_wrong_are_named(
    files: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    hidden = authority.issue("hidden", password="s3cret-Horse")  # noqa: S106 - a test's own
    strange = tmp_path / "latin"
    strange.write_bytes(b"s3cret-Horse\xff")
    secret = tmp_path / "password"
    secret.write_text("s3cret-Horse\n")
    locked = TlsFiles(str(hidden.certificate), str(hidden.key), ca=files.ca)
    for wrong, words in (
        (replace(files, key=str(tmp_path / "none")), "tls.key: .* cannot be read: No such file"),
        (replace(files, certificate=str(empty)), "tls.certificate .* both must be PEM"),
        (replace(files, ca=str(empty)), "tls.ca .* must be PEM"),
        (locked, "an encrypted key needs tls.key_password_file"),
        (replace(locked, key_password_file=str(empty)), "tls.key_password_file"),
        (replace(locked, key_password_file=str(strange)), "tls.key_password_file"),
    ):
        with pytest.raises(BadSettings, match=words) as caught:
            MUTUAL(wrong)
        assert "Horse" not in str(caught.value)
    MUTUAL(replace(locked, key_password_file=str(secret)))


def test_a_connection_waits_for_files_to_become_right(tmp_path: Path) -> None:
    contexts = Following(TlsFiles(ca=str(tmp_path / "none")), client_context)
    with pytest.raises(TryAgain, match=r"tls\.ca"):
        connect("127.0.0.1", 9, 1, contexts)


def test_a_fingerprint_is_read_in_every_spelling() -> None:
    digits = "ab" * 32
    assert fingerprint(":".join(["AB"] * 32)) == fingerprint(f" {digits} ") == digits
    for wrong in ("ab", "g" * 64, digits + "0"):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            fingerprint(wrong)
