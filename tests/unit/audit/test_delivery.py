from base64 import b64decode
from pathlib import Path

from dicom_node.assembly import parts as node
from dicom_node.assembly.retrieval import request_auditor
from dicom_node.audit import rows
from dicom_node.audit.node import audit_senders, digests, open_audit
from dicom_node.audit.retention import AuditedRetention
from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.exchange.retrieval import Inquiry
from dicom_node.domain.study import Instance, InstanceRef
from dicom_node.domain.work import (
    Acknowledgement,
    Admission,
    Arrival,
    Delivery,
    DeliveryBatch,
    StoredFile,
    Undelivered,
)
from dicom_node.flow import tidy
from dicom_node.settings.settings import Settings
from tests.support.audit import kinds, trail

FILE = StoredFile("results/aa/aa.dcm", "aa", 2)


def arrived(parts: node.Parts, number: int, study_uid: str = "1.2", at: float = 5.0) -> str:
    ref = InstanceRef("1.2.840.10008.5.1.4.1.1.1.1", f"1.2.3.{number}")
    instance = Instance(ref, study_uid, "1.2.3", "1.2.840.10008.1.2.1", patient_id="PAT7")
    file = parts.archive.put([b"film %d" % number], "instances", ".dcm")
    parts.ledger.record(Arrival(instance, file, "XRAY1", "CXRAI", "127.0.0.1", at), Admission())
    return file.key


def test_what_is_delivered_and_what_is_not_is_told(settings: Settings) -> None:
    parts = node.open_parts(settings, migrate=True)
    arrived(parts, 1)
    seg, sr, pdf = (
        Delivery(number, "xray", "dicom", 1, "seg", "1.2.840.66", f"2.25.{number}", "1.2", FILE)
        for number in (1, 2, 4)
    )
    oru = Delivery(3, "ris", "mllp", 1, "oru", "", "", "1.2", FILE)
    outcomes = {
        "xray": (
            Acknowledgement(1, "0000"),
            Undelivered(2, GiveUp("refused")),
            Undelivered(4, TryAgain("away")),
        ),
        "ris": (Acknowledgement(3, "AA"),),
    }
    senders = audit_senders(
        {name: lambda _batch, _path, said=said: said for name, said in outcomes.items()},
        parts.audit,
        settings,
        parts.engine,
    )
    for name, protocol, sent in (("xray", "dicom", (seg, sr, pdf)), ("ris", "mllp", (oru,))):
        batch = DeliveryBatch(name, protocol, sent, "w", 0.0)
        assert senders[name](batch, Path) == outcomes[name]
    parts.close()
    log = Path(settings.audit.file)
    assert kinds(log) == [
        "Begin Transferring DICOM Instances",
        "DICOM Instances Transferred",
        "DICOM Instances Transferred",
        "Export",
    ]
    _, done, failed, told = trail(log)
    assert [one.get("UID") for one in done.iter("Instance")] == ["2.25.1"]
    assert [one.get("UID") for one in failed.iter("Instance")] == ["2.25.2"]
    assert failed.find("EventIdentification").get("EventOutcomeIndicator") == "8"
    for message in (done, failed, told):
        patient = message.findall("ParticipantObjectIdentification")[-1]
        assert patient.get("ParticipantObjectID") == "PAT7"


def test_what_retention_erases_is_gone_and_told(settings: Settings) -> None:
    parts = node.open_parts(settings, migrate=True)
    keys = [arrived(parts, 1), arrived(parts, 2), arrived(parts, 3, "1.9", at=100.0)]
    arrived(parts, 4, "1.2", at=100.0)
    retention = AuditedRetention(parts.engine, parts.audit)
    expire = (retention, parts.archive, 1000.0)
    assert tidy.expire_instances(*expire, 950.0, 0.0) == 2
    assert tidy.expire_instances(*expire, 10.0, 0.0) == 2
    tidy.prune_rows(retention, 1000.0, 10.0)
    assert not any(Path(settings.node.data_dir / "archive" / key).exists() for key in keys)
    parts.close()
    found = trail(Path(settings.audit.file))
    assert kinds(Path(settings.audit.file)) == [
        "DICOM Instances Accessed",
        "DICOM Study Deleted",
        "DICOM Study Deleted",
        "Security Alert / Object Security Attributes Changed",
    ]
    first = found[0]
    assert [one.get("UID") for one in first.iter("Instance")] == ["1.2.3.1", "1.2.3.2"]
    assert {one.find("EventIdentification").get("EventActionCode") for one in found[:3]} == {"D"}
    subject = first.find("ParticipantObjectIdentification")
    assert subject.get("ParticipantObjectDataLifeCycle") == "15"


def test_a_question_to_a_pacs_is_told_as_it_is_sent(settings: Settings) -> None:
    audit = open_audit(settings)
    request_auditor(audit, settings, "xray", "")(Inquiry("DX", None, "ACC1"))
    request_auditor(audit, settings, "", "cloud")(Inquiry("DX", None, "ACC 1"))
    audit.close()
    dimse, web = trail(Path(settings.audit.file))
    asked = dimse.find("ParticipantObjectIdentification")
    assert asked.get("ParticipantObjectID") == "1.2.840.10008.5.1.4.1.2.2.1"
    assert b"ACC1" in b64decode(asked.find("ParticipantObjectQuery").text)
    said = web.find("ParticipantObjectIdentification/ParticipantObjectQuery").text
    assert b64decode(said) == b"/studies?AccessionNumber=ACC+1&ModalitiesInStudy=DX"


def test_the_patient_of_a_study_that_is_not_known_is_nobody(settings: Settings) -> None:
    parts = node.open_parts(settings, migrate=True)
    assert rows.patient_of(parts.engine, "1.2.3") == ""
    parts.close()


def test_a_sender_that_raises_is_told_of_too(settings: Settings) -> None:
    def fail(_batch: DeliveryBatch, _path: object) -> tuple[Acknowledgement, ...]:
        raise GiveUp("no such destination")

    parts = node.open_parts(settings, migrate=True)
    sent = (Delivery(1, "xray", "dicom", 2, "seg", "1.2.840.66", "2.25.1", "1.2", FILE),)
    sender = audit_senders({"xray": fail}, parts.audit, settings, parts.engine)["xray"]
    (missed,) = sender(DeliveryBatch("xray", "dicom", sent, "w", 0.0), Path)
    assert isinstance(missed, Undelivered)
    parts.close()
    (told,) = trail(Path(settings.audit.file))
    assert told.find("EventIdentification").get("EventOutcomeIndicator") == "8"


def test_the_databases_password_is_in_no_digest(settings: Settings) -> None:
    def of(password: str) -> dict[str, str]:
        url = f"postgresql+psycopg://node:{password}@db/node"
        database = settings.database.model_copy(update={"url": url})
        return digests(settings.model_copy(update={"database": database}))

    assert of("secret") == of("other")
    assert of("secret")["database"] != digests(settings)["database"]
