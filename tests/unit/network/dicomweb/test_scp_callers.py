"""Who may store by STOW-RS: addresses, tokens, certificates."""

import http.client
import os
import ssl
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.errors import BadSettings
from dicom_node.storage.queue.callers import approve
from tests.support.certificates import Authority
from tests.support.listeners import until
from tests.support.stow_callers import TYPE, image, multipart
from tests.support.stow_node import Start


def test_unknown_callers(start: Start) -> None:
    node = start(host="192.0.2.1", unknown="learn")
    assert node.post(multipart([image("1.2.3")]))[0] == 403
    assert [(row.ae, row.host) for row in node.rows("callers")] == [("DICOMWEB", "127.0.0.1")]
    assert node.rows() == []


def test_an_unknown_caller_that_a_person_let_in(start: Start) -> None:
    node = start(host="192.0.2.1", unknown="learn")
    assert node.post(multipart([image("1.2.3")]))[0] == 403
    assert approve(node.engine, "DICOMWEB", "127.0.0.1", time.time())
    assert node.post(multipart([image("1.2.3")]))[0] == 200


def test_a_peer_that_must_call_over_tls(start: Start) -> None:
    node = start(peer="tls = true")
    assert node.post(multipart([image("1.2.3")]))[0] == 403


def test_accepted_unknown_callers_have_a_title_of_their_own(start: Start) -> None:
    node = start(host="192.0.2.1", unknown="accept")
    assert node.post(multipart([image("1.2.3")]))[0] == 200
    assert [row.calling_ae for row in node.rows()] == ["DICOMWEB"]
    assert node.rows("jobs") == []  # the route wants another caller


def test_the_token_decides_where_there_is_one(start: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("right\n")
    node = start('token_file = "token"', host="192.0.2.1")
    body = multipart([image("1.2.3")])
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic right"}):
        status, _, said = node.post(body, **headers)
        assert (status, said["WWW-Authenticate"]) == (401, "Bearer")
    assert node.post(body, Authorization="bearer right")[0] == 200
    (tmp_path / "token").write_text("")
    assert node.post(body, Authorization="Bearer ")[0] == 401
    (tmp_path / "token").unlink()
    assert node.post(body, Authorization="Bearer right")[0] == 401


def test_a_token_file_without_a_token_is_a_bad_setting(start: Start) -> None:
    with pytest.raises(BadSettings, match=r"dicomweb\.token_file"):
        start('token_file = "none"')


def test_over_tls(start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair, theirs = authority.issue("node"), authority.issue("xray")
    files = f'certificate = "{pair.certificate}"\nkey = "{pair.key}"\nca = "{authority.ca}"'
    pinned = f'tls = true\ntls_fingerprint = "{theirs.fingerprint}"'
    node = start(f'tls = true\n[tls]\nmode = "mutual"\n{files}', peer=pinned)
    trust = ssl.create_default_context(cafile=authority.ca)
    trust.load_cert_chain(theirs.certificate, theirs.key)
    link = http.client.HTTPSConnection("127.0.0.1", node.scp.port, timeout=60, context=trust)
    for uid in ("1.2.3", "1.2.4"):
        link.request("POST", "/studies", multipart([image(uid)]), {"Content-Type": TYPE})
        answer = link.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (200, True)
    link.close()
    assert sorted(node.stored()) == [image("1.2.3"), image("1.2.4")]
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        node.post(multipart([image("1.2.5")]))  # in the clear
    link = http.client.HTTPSConnection("127.0.0.1", node.scp.port, timeout=60, context=trust)
    link.request("POST", "/elsewhere", b"x" * 100_000)
    assert link.getresponse().status == 404  # heard though its content was not
    link.close()
    trust.load_cert_chain(pair.certificate, pair.key)  # of the authority, but not the peer's
    link = http.client.HTTPSConnection("127.0.0.1", node.scp.port, timeout=60, context=trust)
    link.request("POST", "/studies", multipart([image("1.2.6")]), {"Content-Type": TYPE})
    assert link.getresponse().status == 403
    link.close()


def test_a_request_that_breaks_off_within_tls_is_told(start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("node")
    files = f'certificate = "{pair.certificate}"\nkey = "{pair.key}"'
    node = start(f'tls = true\n[tls]\nmode = "server"\n{files}')
    trust = ssl.create_default_context(cafile=authority.ca)
    content = multipart([image("1.2.3")])
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\n"
    with (
        capture_logs() as logs,
        trust.wrap_socket(node.connect(), server_hostname="127.0.0.1") as line,
    ):
        line.sendall(f"{head}Content-Length: {len(content) + 1000}\r\n\r\n".encode() + content)
        os.write(line.fileno(), b"no record of TLS")
        told = {"calling_ae": "XRAY1", "stored": 1, "event": "stow_broken_off"}
        until(lambda: told | {"log_level": "warning"} in logs, "the end of the request")


def test_tls_needs_its_mode(start: Start) -> None:
    with pytest.raises(BadSettings, match=r"dicomweb\.tls = true needs tls\.mode"):
        start("tls = true")
