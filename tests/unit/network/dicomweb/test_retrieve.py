"""DICOMweb servers that answer wrongly."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, Refused, TryAgain
from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.exchange.retrieval import FoundImage, Inquiry
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.network.dicomweb import retrieve
from dicom_node.network.dicomweb.retrieve import WebOrigin
from tests.support.certificates import Authority
from tests.support.pacs_images import ROOT, radiograph
from tests.support.stow_servers import StowServer
from tests.support.stow_servers import always as answering

IMAGE = FoundImage(f"{ROOT}.1.1", f"{ROOT}.1.2", f"{ROOT}.1")
QUESTION = Inquiry("CR", date(2026, 11, 1))
CALLER = Caller("PACS", "CXRAI", "127.0.0.1")
JSON = "application/dicom+json"

Answer = tuple[int, str, bytes]
"""Status, Content-Type, content."""


class Handler(BaseHTTPRequestHandler):
    """Answers each GET as scripted."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[str], Answer]

    def do_GET(self) -> None:
        status, kind, content = type(self).answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def stored(request: StoreRequest) -> Recorded:
    return Recorded.NEW


def full(request: StoreRequest) -> Recorded:
    raise Refused(0xA700, "disk space is below the reserve")


@contextmanager
def server(
    answer: Callable[[str], Answer], store: Callable[[StoreRequest], Recorded] = stored
) -> Iterator[WebOrigin]:
    """Ask a server that answers as `answer` says to a path."""

    class Scripted(Handler):
        pass

    Scripted.answer = staticmethod(answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        to = StowDestination("web", f"http://127.0.0.1:{listening.server_port}/x", timeout_s=1)
        try:
            with closing(WebOrigin(to, CALLER, store)) as origin:
                yield origin
        finally:
            listening.shutdown()


def always(status: int, content: object = b"", kind: str = JSON) -> Callable[[str], Answer]:
    sent = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda path: (status, kind, sent)


def study(uid: object, modality: str = "CR") -> dict[str, object]:
    return {"0020000D": {"Value": [uid]}, "00080061": {"Value": [modality]}}


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (401, b"", BadSettings("HTTP 401: the server does not let us")),
        (403, b"", BadSettings("token_file")),
        (404, b"", GiveUp("HTTP 404")),
        (503, b"", TryAgain("HTTP 503")),
        (429, b"", TryAgain("HTTP 429")),
        (302, b"", GiveUp("redirects")),
        (200, b"<html>", GiveUp("no DICOM JSON")),
        (200, b"7", GiveUp("no list of matches")),
        (200, b"[" * 100_000, GiveUp("no DICOM JSON")),
    ],
)
def test_faults_are_told_apart(status: int, content: bytes, expected: NodeError) -> None:
    with (
        server(always(status, content)) as origin,
        pytest.raises(type(expected), match=str(expected)),
    ):
        origin.studies(QUESTION)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        [],
        ["text", 3, None],
        [{"0020000D": "1.2"}],
        [{"0020000D": {"Value": [{"x": 1}]}}],
        [study(7)],
        [study("1.*")],
        [study("1.2", "CT")],
        {},
    ],
)
def test_matches_that_are_none_are_left_out(content: object) -> None:
    with server(always(200, content)) as origin:
        assert origin.studies(QUESTION) == ()


def test_a_server_that_ignores_the_offset_is_asked_twice() -> None:
    asked: list[str] = []

    def answer(path: str) -> Answer:
        asked.append(path)
        return 200, JSON, json.dumps([study("1.2"), study("1.3")]).encode()

    with server(answer) as origin:
        assert origin.studies(QUESTION) == ("1.2", "1.3")
    assert len(asked) == 2


def test_a_list_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "MOST_MATCHES", 10)

    def answer(path: str) -> Answer:
        start = int(path.split("offset=")[1].split("&")[0])
        return 200, JSON, json.dumps([study(f"1.{start + n}") for n in range(4)]).encode()

    with server(answer) as origin, pytest.raises(GiveUp, match="more than 10 matches"):
        origin.studies(QUESTION)


def test_an_answer_that_is_too_large_or_too_slow_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "LARGEST_LIST", 1000)
    with server(always(200, b" " * 2000)) as origin, pytest.raises(TryAgain, match="does not end"):
        origin.studies(QUESTION)

    def silent(path: str) -> Answer:
        time.sleep(1.5)
        return 200, JSON, b"[]"

    with server(silent) as origin, pytest.raises(TryAgain, match="no answer in time"):
        origin.studies(QUESTION)


def multipart(*contents: bytes) -> bytes:
    head = b"\r\n--cut\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + content for content in contents) + b"\r\n--cut--\r\n"


MULTIPART = 'multipart/related; type="application/dicom"; boundary=cut'


@pytest.mark.parametrize(
    ("content", "kind", "store", "expected"),
    [
        (multipart(radiograph(1)), MULTIPART, stored, "WADO-RS: new"),
        (radiograph(1), "application/dicom", stored, "WADO-RS: new"),
        (multipart(radiograph(1)), MULTIPART, full, TryAgain("refused here: disk space")),
        (multipart(radiograph(2)), MULTIPART, stored, GiveUp("nothing, or another image")),
        (multipart(), MULTIPART, stored, GiveUp("no multipart|nothing")),
        (multipart(b"no file"), MULTIPART, stored, GiveUp("no DICOM file")),
        (multipart(radiograph(1))[:-40], MULTIPART, stored, GiveUp("no multipart message")),
        (b"<html>", "text/html", stored, GiveUp("no multipart message")),
    ],
)
def test_fetching_one_image(
    content: bytes,
    kind: str,
    store: Callable[[StoreRequest], Recorded],
    expected: str | NodeError,
) -> None:
    with server(always(200, content, kind), store) as origin:
        if isinstance(expected, str):
            assert origin.fetch(IMAGE) == expected
        else:
            with pytest.raises(type(expected), match=str(expected)):
                origin.fetch(IMAGE)


def test_an_image_that_is_gone_costs_itself_only() -> None:
    with server(always(404)) as origin, pytest.raises(GiveUp, match="HTTP 404"):
        origin.fetch(IMAGE)


def found(web: StowServer, **more: str) -> str:
    """Ask a server that knows no studies; gives what it said, or why it said nothing."""
    web.probe = 404
    with (
        closing(WebOrigin(web.destination(**more), CALLER, stored)) as origin,
        pytest.raises(NodeError) as caught,
    ):
        origin.studies(QUESTION)
    return str(caught.value)


def test_the_servers_own_authority_wins_over_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    pair, said = ours.issue("here"), []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others.ca))
    for ca in (ours, others):
        web = answering(200)
        web.tls = pair.certificate, pair.key
        with web:
            said.append(found(web, ca_file=str(ca.ca)))
    assert said == ["HTTP 404", "TLS failed: certificate or protocol (see ca_file)"]


def test_a_token_that_is_replaced_during_a_long_run_counts(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("first")
    with answering(200) as web:
        web.probe = 404
        to = web.destination(token_file=str(secret))
        with closing(WebOrigin(to, CALLER, stored)) as origin:
            for token in ("first", "second"):
                secret.write_text(token)
                with pytest.raises(GiveUp, match="HTTP 404"):
                    origin.fetch(IMAGE)
    shown = [request.headers["Authorization"] for request in web.requests]
    assert shown == ["Bearer first", "Bearer second"]
