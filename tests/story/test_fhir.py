"""From a film to the FHIR server through the outbox, and the preview of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import dcmread

from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Presence
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import deliveries, objects
from dicom_node.storage.queue.requeue import reanalyse
from tests.support.fhir_server import FhirServer
from tests.support.node import CONFIGURATION, MakeNode, Node
from tests.support.scripted import Scripted

EMR = """
notify = ["emr"]
[[fhir]]
name = "emr"
url = "{url}"
timeout_s = 5
"""


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as running:
        yield running


@pytest.fixture
def node(make_node: MakeNode, server: FhirServer) -> Node:
    return make_node(CONFIGURATION + EMR.format(url=server.destination().url))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ds = phantom_dx(2, "right", made_at=1.7e9, rows=512, columns=512)
    ds.PatientID, ds.AccessionNumber = "P1", "ACC1"
    path = tmp_path_factory.mktemp("film") / "right.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def test_an_urgent_finding_reaches_the_server_once_after_it_was_down(
    node: Node, server: FhirServer, film: Path
) -> None:
    node.receive()
    assert node.work(node.configured())
    (message,) = [row for row in node.rows(objects) if row.kind == "fhir"]
    Bundle.model_validate_json(node.parts.archive.read(message.file_key))
    server.answers += [(503, b""), "after"]
    now = time.time()
    for later in (0, 3600, 7200):  # refused, stored without an answer, known already
        assert node.deliver("emr", now + later) == 1
    assert node.deliver("emr", now + 9000) == 0
    (sent,) = [row for row in node.rows(deliveries) if row.destination == "emr"]
    assert (sent.protocol, sent.state, sent.attempt, sent.priority) == (
        "fhir",
        "completed",
        3,
        "urgent",
    )
    assert "0 created" in sent.acknowledged
    (report,) = [one for one in server.resources if one["resourceType"] == "DiagnosticReport"]
    assert report["subject"]["identifier"]["value"] == "P1"
    assert "pneumothorax suspected, right" in report["conclusion"]


def test_a_correction_takes_the_place_of_the_first_report(
    node: Node, server: FhirServer, film: Path
) -> None:
    uid = node.receive()
    now, ledger = time.time(), node.parts.ledger
    versions = (("1", Presence.PRESENT), ("2", Presence.ABSENT), ("1", Presence.PRESENT))
    told = []
    for turn, (version, presence) in enumerate(versions):
        if turn:
            reanalyse(ledger.engine, study_uid=None, since=1.0, now=now)
        node.model = Scripted(version, presence)
        assert node.work()
        assert node.deliver("emr", now + 60 * turn) == 1
        kinds = [one["resourceType"] for one in server.resources]
        assert kinds == ["Observation", "DiagnosticReport"], uid
        found, report = server.resources
        assert report["result"] == [{"reference": f"Observation/{found['id']}"}]
        told.append((report["status"], found["valueCodeableConcept"]["text"]))
    assert told == [("preliminary", "Present"), ("corrected", "Absent"), ("corrected", "Present")]


def test_a_refused_message_is_a_dead_letter(node: Node, server: FhirServer, film: Path) -> None:
    node.receive()
    assert node.work(node.configured())
    server.answers.append((422, b""))
    node.deliver("emr", time.time())
    (sent,) = [row for row in node.rows(deliveries) if row.destination == "emr"]
    assert (sent.state, sent.attempt) == ("discarded", 1)
    assert "HTTP 422" in sent.last_error


def test_the_message_is_previewed_and_nothing_is_sent(
    node: Node, server: FhirServer, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.receive()
    study = str(dcmread(film, stop_before_pixels=True).StudyInstanceUID)
    for which in (["--study", study], ["--example"]):
        assert cli.main(["oru", "-c", str(node.config), "--to", "emr", *which]) == 0
        said = capsys.readouterr()
        kinds = [one["resource"]["resourceType"] for one in json.loads(said.out)["entry"]]
        assert kinds[-1] == "DiagnosticReport"
        assert f"valid FHIR R4: transaction of {len(kinds)} resources" in said.err
    assert server.headers == []
    assert node.rows(deliveries) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[[fhir]]\nname = "pacs"\nurl = "https://h/fhir"', "[[fhir]] name 'pacs' is used twice"),
        ('[[fhir]]\nname = "x"\nurl = "h/fhir"', "must start with https://"),
        ('[[fhir]]\nname = "x"\nurl = "http://h/f"\ntoken_file = "t"', "over https:// only"),
    ],
)
def test_a_wrong_server_is_named(tmp_path: Path, more: str, words: str) -> None:
    config = tmp_path / "node.toml"
    config.write_text(CONFIGURATION + more)
    with pytest.raises(BadSettings) as caught:
        load_settings(config)
    assert words in str(caught.value)
