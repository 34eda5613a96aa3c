"""What a STOW-RS server says of each object, and what the outbox makes of it."""

import logging
import threading
from pathlib import Path

import pytest

from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.work import Acknowledgement, DeliveryBatch, Undelivered
from dicom_node.network.dicomweb import scu
from dicom_node.network.dicomweb.scu import probe, send
from tests.support.archives import NamedFiles
from tests.support.certificates import Authority
from tests.support.listeners import free_port
from tests.support.stow_servers import UIDS, Answer, Request, StowServer, always, answer_json, batch

JSON = "application/dicom+json"
XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
 <DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.12</Value></DicomAttribute>
  <DicomAttribute tag="00081197" vr="US"><Value number="1">42752</Value></DicomAttribute>
 </Item></DicomAttribute>
 <DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.11</Value></DicomAttribute>
 </Item></DicomAttribute>
</NativeDicomModel>"""


def sent(
    server: StowServer, folder: Path, uids: tuple[str, ...] = UIDS, **more: object
) -> list[str]:
    """Send a batch and say of each object what became of it."""
    return said(send(batch(folder, uids), NamedFiles(folder), server.destination(**more)))


def said(outcomes: tuple[Acknowledgement | Undelivered, ...]) -> list[str]:
    return [
        one.words
        if isinstance(one, Acknowledgement)
        else f"{type(one.error).__name__}: {one.error}"
        for one in sorted(outcomes, key=lambda one: one.delivery_id)
    ]


def test_objects_of_one_batch_share_a_request_and_arrive_bit_for_bit(tmp_path: Path) -> None:
    with StowServer(lambda request: (200, JSON, answer_json(request.uids))) as server:
        assert sent(server, tmp_path) == ["200 stored"] * 3
    (request,) = server.requests
    assert request.path == "/dicom-web/studies"
    assert request.parts == [(tmp_path / uid).read_bytes() for uid in UIDS]
    assert request.headers["Host"] == server.address
    assert 'type="application/dicom"' in request.headers["Content-Type"]
    assert "Authorization" not in request.headers


def test_each_object_is_settled_apart(tmp_path: Path) -> None:
    content = answer_json(
        stored=[("2.25.11", 0xB000)], failed=[("2.25.12", 0xA700), ("2.25.13", 0x0110)]
    )
    with always(202, content, JSON) as server:
        assert sent(server, tmp_path) == [
            "202 stored, with a warning 0xB000",
            "TryAgain: 0xA700 refused: out of resources",
            "TryAgain: 0x0110 processing failure",
        ]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (0xA900, "GiveUp: 0xA900 data set does not match SOP class"),
        (0xC122, "GiveUp: 0xC122 cannot understand"),
        (0x0124, "TryAgain: 0x0124 not authorized"),
        (0x0111, "0x0111 there already (duplicate SOP instance)"),
        (0xB007, "GiveUp: not stored, with the reason 0xB007"),
        (0, "GiveUp: not stored, without a reason"),
    ],
)
def test_reasons_of_failures(tmp_path: Path, reason: int, words: str) -> None:
    with always(409, answer_json(failed=[("2.25.11", reason)]), JSON) as server:
        assert sent(server, tmp_path, UIDS[:1]) == [words]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "GiveUp: HTTP 400: bad request"),
        (409, "GiveUp: HTTP 409: nothing stored"),
        (413, "GiveUp: HTTP 413: too large"),
        (418, "GiveUp: HTTP 418: refused"),
        (401, "TryAgain: HTTP 401: not authenticated"),
        (403, "TryAgain: HTTP 403: not authorized"),
        (404, "TryAgain: HTTP 404: no such address"),
        (302, "TryAgain: HTTP 302: it redirects"),
        (408, "TryAgain: HTTP 408: time-out"),
        (429, "TryAgain: HTTP 429: too many requests"),
        (500, "TryAgain: HTTP 500: the server failed"),
        (503, "TryAgain: HTTP 503: the server failed"),
    ],
)
def test_statuses(tmp_path: Path, status: int, words: str) -> None:
    with always(status) as server:
        (one,) = sent(server, tmp_path, UIDS[:1])
    assert one.startswith(words)
    assert [request.path for request in server.requests] == ["/dicom-web/studies"]


def test_one_bad_object_spoils_none_of_the_others(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        return (400 if "2.25.12" in request.uids else 200), "text/plain", b""

    with StowServer(answer) as server:
        assert sent(server, tmp_path) == [
            "200 stored",
            "GiveUp: HTTP 400: bad request",
            "200 stored",
        ]
    assert [request.uids for request in server.requests] == [list(UIDS), *([uid] for uid in UIDS)]


def test_an_object_that_the_answer_leaves_out_is_sent_alone(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        named = request.uids[:2] if len(request.uids) > 1 else request.uids
        return 200, JSON, answer_json(named)

    with StowServer(answer) as server:
        assert sent(server, tmp_path) == ["200 stored"] * 3
    assert [len(request.uids) for request in server.requests] == [3, 1]


def test_a_partial_success_without_names_asks_for_each(tmp_path: Path) -> None:
    with always(202, b"<html>accepted</html>") as server:
        words = "TryAgain: HTTP 202 with an answer that cannot be read"
        assert sent(server, tmp_path) == [words] * 3
    assert len(server.requests) == 4


def test_an_answer_in_xml_is_read_too(tmp_path: Path) -> None:
    with always(202, XML, "application/dicom+xml") as server:
        assert sent(server, tmp_path, UIDS[:2]) == [
            "202 stored",
            "TryAgain: 0xA700 refused: out of resources",
        ]
    assert "application/dicom+json" in server.requests[0].headers["Accept"]


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"5",
        b'{"00081199": 7}',
        b"{" * 5000,
        b"\xff",
        b'{"00081198": {"vr":"SQ"}}',
        b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"Value": [1e999]}}]}}',
    ],
)
def test_a_200_with_a_strange_answer_is_a_success(tmp_path: Path, content: bytes) -> None:
    with always(200, content, JSON) as server:
        assert sent(server, tmp_path, UIDS[:1]) == ["200 stored"]


def test_the_servers_own_words_are_a_note_and_no_log(tmp_path: Path) -> None:
    with always(400, b'{"Details": "patient DOE^JOHN is locked"}', JSON) as server:
        outcomes = send(batch(tmp_path, UIDS[:1]), NamedFiles(tmp_path), server.destination())
    assert isinstance(outcomes[0], Undelivered)
    assert "DOE" not in str(outcomes[0].error)
    assert "DOE^JOHN is locked" in outcomes[0].error.__notes__[0]


def test_the_token_is_read_anew_sent_and_never_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "token"
    with always(401) as server:
        for token in ("s3cret-one", "s3cret-two"):
            secret.write_text(f"{token}\n")
            (one,) = sent(server, tmp_path, UIDS[:1], token_file=str(secret))
            assert one.startswith("TryAgain: HTTP 401")
            assert token not in one
    shown = [request.headers["Authorization"] for request in server.requests]
    assert shown == ["Bearer s3cret-one", "Bearer s3cret-two"]
    assert "s3cret" not in caplog.text


def test_a_token_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"token_env": "STOW_T"}
    with always(200) as server:
        assert sent(server, tmp_path, UIDS[:1], **named) == [
            "NoAnswer: environment variable STOW_T of 'cloud' holds no token"
        ]
        monkeypatch.setenv("STOW_T", "abc")
        assert sent(server, tmp_path, UIDS[:1], **named) == ["200 stored"]
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer abc"]


def test_a_missing_token_file_waits(tmp_path: Path) -> None:
    with always(200) as server:
        (one,) = sent(server, tmp_path, UIDS[:1], token_file=str(tmp_path / "none"))
    assert one.startswith("NoAnswer: token_file")
    assert server.requests == []


def test_a_redirect_does_not_take_the_token_along(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    with always(307) as server:
        sent(server, tmp_path, UIDS[:1], token_file=str(tmp_path / "token"))
    assert len(server.requests) == 1


def test_a_damaged_file_fails_alone(tmp_path: Path) -> None:
    made = batch(tmp_path)
    (tmp_path / UIDS[0]).write_bytes(b"no DICOM")
    (tmp_path / UIDS[1]).unlink()
    with StowServer(lambda request: (200, JSON, answer_json(request.uids))) as server:
        outcomes = send(made, NamedFiles(tmp_path), server.destination())
    assert said(outcomes) == [
        "GiveUp: no DICOM file (InvalidDicomError)",
        f"GiveUp: archive file {UIDS[1]} is gone",
        "200 stored",
    ]


def test_nobody_listens(tmp_path: Path) -> None:
    to = StowDestination("cloud", f"http://127.0.0.1:{free_port()}/")
    made: DeliveryBatch = batch(tmp_path)
    assert (
        said(send(made, NamedFiles(tmp_path), to))
        == ["NoAnswer: no connection, or one that broke"] * 3
    )
    assert probe(to).words == "no connection, or one that broke"


def test_after_silence_the_rest_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scu, "LARGEST_REQUEST", 1)  # so each goes alone

    left = threading.Event()

    def hang(request: Request) -> Answer:
        if "2.25.12" in request.uids:
            left.wait(60)
        return 200, "text/plain", b""

    with StowServer(hang) as server:
        assert sent(server, tmp_path, timeout_s=2) == [
            "200 stored",
            "NoAnswer: no answer in time",
            "NoAnswer: no answer in time",
        ]
        left.set()
    assert [request.uids for request in server.requests] == [["2.25.11"], ["2.25.12"]]


def test_a_silent_server_is_left(tmp_path: Path) -> None:
    left = threading.Event()

    def hang(_: Request) -> Answer:
        left.wait(60)
        return 200, "text/plain", b""

    with StowServer(hang) as server:
        assert sent(server, tmp_path, UIDS[:1], timeout_s=0.3) == ["NoAnswer: no answer in time"]
        assert len(server.requests) == 1
        left.set()


def test_an_answer_without_end_is_left(tmp_path: Path) -> None:
    with always(200, b" " * (5 << 20)) as server:
        assert sent(server, tmp_path, UIDS[:1]) == [
            "NoAnswer: HTTP 200 with an answer that does not end"
        ]


def test_the_servers_certificate_must_be_signed_by_whom_we_trust(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    (tmp_path / "token").write_text("abc")
    more = {"token_file": str(tmp_path / "token")}
    pair, elsewhere = ours.issue("here"), ours.issue("elsewhere", host="")
    for used, ca, words in (
        (pair, ours, "200 stored"),
        (pair, others, "NoAnswer: TLS failed: certificate or protocol (see ca_file)"),
        (elsewhere, ours, "NoAnswer: TLS failed: certificate or protocol (see ca_file)"),
    ):
        server = always(200)
        server.tls = used.certificate, used.key
        with server:
            assert sent(server, tmp_path, UIDS[:1], ca_file=str(ca.ca), **more) == [words]
        shown = [request.headers["Authorization"] for request in server.requests]
        assert shown == ["Bearer abc"] * (words == "200 stored")


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    to = StowDestination("cloud", "https://127.0.0.1:9/", ca_file=str(tmp_path / "none.pem"))
    assert said(send(batch(tmp_path, UIDS[:1]), NamedFiles(tmp_path), to)) == [
        "NoAnswer: the certificates of ca_file cannot be read"
    ]


@pytest.mark.parametrize(
    ("status", "ok"),
    [(200, True), (204, True), (404, True), (401, False), (403, False), (500, False)],
)
def test_the_probe(status: int, ok: bool) -> None:
    with always(200) as server:
        server.probe = status
        check = probe(server.destination())
    assert (check.name, check.ok) == ("cloud", ok)
    assert f"HTTP {status}" in check.words


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        ("ftp://h/x", {}, "url must start with https"),
        ("https://u:p@h/x", {}, "no user, password"),
        ("https://h/x?key=1", {}, "no user, password"),
        ("http://pacs/x", {"token_env": "T"}, "a token goes over https"),
        ("https://h/x", {"token_env": "T", "token_file": "f"}, "not both"),
        ("https://h/x", {"timeout_s": 0}, "timeout_s"),
    ],
)
def test_unsafe_destinations_are_refused(url: str, more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StowDestination("cloud", url, **more)  # type: ignore[arg-type] # a wrong value is meant
