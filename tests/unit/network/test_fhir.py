"""Sending to FHIR servers of every temper."""

import json
from pathlib import Path

import pytest

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.exchange.destinations import FhirDestination
from dicom_node.domain.work import (
    Acknowledgement,
    Delivery,
    DeliveryBatch,
    StoredFile,
    Undelivered,
)
from dicom_node.network.fhir import judge_answer, post, probe, send
from dicom_node.results.example import example
from dicom_node.results.messages import fhir
from tests.support.archives import NamedFiles
from tests.support.fhir_server import FhirServer, outcome
from tests.support.listeners import free_port


@pytest.fixture(scope="module")
def message() -> bytes:
    to = FhirDestination("emr", "http://localhost/fhir")
    made = fhir.build(example(), fhir.FhirContext(1.7e9, to))
    assert made is not None
    return made.content


def test_a_message_is_stored_once_however_often_it_comes(message: bytes) -> None:
    with FhirServer() as server:
        assert post(message, server.destination()) == "HTTP 200: 4 created, 0 known already"
        assert post(message, server.destination()) == "HTTP 200: 0 created, 4 known already"
    kinds = [one["resourceType"] for one in server.resources]
    assert kinds == ["Observation", "Observation", "Observation", "DiagnosticReport"]
    results = [one["reference"] for one in server.resources[-1]["result"]]
    assert results == ["Observation/1", "Observation/2", "Observation/3"]


def test_an_answer_that_is_lost_makes_no_double(message: bytes) -> None:
    with FhirServer(["after"]) as server:
        with pytest.raises(TryAgain):
            post(message, server.destination())
        assert len(server.resources) == 4
        assert post(message, server.destination()).endswith("0 created, 4 known already")
    assert len(server.resources) == 4


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int, message: bytes) -> None:
    with FhirServer([(status, b"busy")]) as server:
        with pytest.raises(TryAgain, match=str(status)):
            post(message, server.destination())
        assert post(message, server.destination()).startswith("HTTP 200")


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 405, 409, 410, 412, 413, 415, 422])
def test_what_lasts_is_given_up(status: int, message: bytes) -> None:
    with FhirServer([(status, b"no")]) as server, pytest.raises(GiveUp, match=str(status)):
        post(message, server.destination())
    assert server.resources == []


def test_the_servers_words_are_a_note_and_not_the_message(message: bytes) -> None:
    said = outcome("patient Miller^Anna is unknown")
    with FhirServer([(422, said)]) as server, pytest.raises(GiveUp) as caught:
        post(message, server.destination())
    assert caught.value.__notes__ == ["patient Miller^Anna is unknown"]
    assert "Miller" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>please log in</html>",
        b"",
        b"[]",
        b"{}",
        b'{"resourceType": "Bundle", "type": "batch-response"}',
        b'{"resourceType": "Bundle", "type": "transaction-response"}',
        b'{"resourceType": "Bundle", "type": "transaction-response", "entry": 7}',
        b"[" * 100_000,
        json.dumps(
            {
                "resourceType": "Bundle",
                "type": "transaction-response",
                "entry": [{"response": {"status": "500 Internal"}}],
            }
        ).encode(),
    ],
)
def test_a_success_that_is_no_transactions_answer_is_no_delivery(body: bytes) -> None:
    with pytest.raises(TryAgain, match="not the answer to a FHIR transaction"):
        judge_answer(200, body)


@pytest.mark.parametrize("body", [b"x", b"[1]", b'{"issue": 3}', b'{"issue": [3, {"details": 3}]}'])
def test_any_refusal_is_read(body: bytes) -> None:
    with pytest.raises(GiveUp) as caught:
        judge_answer(400, body)
    assert not hasattr(caught.value, "__notes__")


def test_silence_is_not_waited_for_and_no_server_is_said(message: bytes) -> None:
    with FhirServer(["hang"]) as server, pytest.raises(TryAgain, match="no answer in time"):
        post(message, server.destination(timeout_s=0.3))
    nobody = FhirDestination("emr", f"http://127.0.0.1:{free_port()}/fhir")
    with pytest.raises(TryAgain, match="no connection"):
        post(message, nobody)


def test_the_token_is_read_anew_for_each_request(
    message: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FhirServer() as server:
        to = server.destination(token_file=str(token))
        post(message, to)
        token.write_text("second")
        post(message, to)
        token.unlink()
        with pytest.raises(TryAgain, match="of 'emr' cannot be read"):
            post(message, to)
        monkeypatch.setenv("EMR_TOKEN", "third")
        post(message, server.destination(token_env="EMR_TOKEN"))  # noqa: S106 - a name
        post(message, server.destination())
    sent = [one.get("Authorization") for one in server.headers]
    assert sent == ["Bearer first", "Bearer second", "Bearer third", None]


def test_what_is_no_token_is_neither_sent_nor_told(
    message: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMR_TOKEN", raising=False)
    with FhirServer() as server:
        for content in ("s3cret\nline", "s3cret word", "s3cr\u00e9t", ""):
            (tmp_path / "token").write_text(content, encoding="utf-8")
            with pytest.raises(TryAgain, match=r"no token|cannot be read") as caught:
                post(message, server.destination(token_file=str(tmp_path / "token")))
            assert "s3c" not in str(caught.value)
        with pytest.raises(TryAgain, match="environment variable EMR_TOKEN of 'emr' holds no"):
            post(message, server.destination(token_env="EMR_TOKEN"))  # noqa: S106 - a name
    assert server.headers == []


def test_a_token_goes_over_tls_alone() -> None:
    with pytest.raises(ValueError, match="https:// only"):
        FhirDestination("emr", "http://emr.example/fhir", token_file="t")  # noqa: S106 - a path
    with pytest.raises(ValueError, match="must start with https"):
        FhirDestination("emr", "emr.example/fhir")


def test_the_sender_answers_for_each_message(message: bytes, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(message)
    deliveries = tuple(
        Delivery(n, "emr", "fhir", 1, "fhir", "", f"2.25.{n}", "1.2", StoredFile(name, "", 0))
        for n, name in enumerate(("there", "gone"))
    )
    batch = DeliveryBatch("emr", "fhir", deliveries, "w", 0.0)
    with FhirServer() as server:
        stored, gone = send(batch, NamedFiles(tmp_path), server.destination())
    assert stored == Acknowledgement(0, "HTTP 200: 4 created, 0 known already")
    assert isinstance(gone, Undelivered)
    assert gone.delivery_id == 1


def test_the_probe_knows_the_version() -> None:
    with FhirServer() as server:
        assert probe(server.destination()).ok
        server.version = "5.0.0"
        found = probe(server.destination())
    assert not found.ok
    assert "R4 (4.0) is needed" in found.words
    assert not probe(FhirDestination("emr", f"http://127.0.0.1:{free_port()}")).ok
