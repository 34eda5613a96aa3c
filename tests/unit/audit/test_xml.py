from base64 import b64decode
from pathlib import Path

import pytest
from lxml import etree

from dicom_node.audit import events
from dicom_node.audit.events import AuditEvent, Endpoint, TransferredInstances
from dicom_node.audit.xml import as_xml

HERE, PACS = Endpoint("CXRAI", "node.example"), Endpoint("ORTHANC", "10.0.0.5")
CARGO = TransferredInstances(
    "1.2.3", "PAT\x001<&>", (("1.2.840.1", ("1.2.3.4", "1.2.3.5")), ("1.2.840\x01.2", ()))
)
EVENTS = {
    "start": events.application_activity(HERE, "receive", 1.5, started=True),
    "stop": events.application_activity(HERE, "receive", 2e9, started=False),
    "begun": events.begin_transferring(PACS, HERE, CARGO, 10.0),
    "transferred": events.instances_transferred(PACS, HERE, CARGO, 10.0, "R"),
    "failed": events.instances_transferred(HERE, PACS, CARGO, 10.0, "C", "8"),
    "exported": events.data_export(HERE, Endpoint("ris", ""), CARGO, 10.0),
    "queried": events.query(HERE, PACS, "1.2.840.10008", b"\x08\x00", 10.0),
    "erased": events.instances_deleted(HERE, CARGO, 10.0, whole=True),
    "erased in part": events.instances_deleted(
        HERE, TransferredInstances("", ""), 10.0, whole=False
    ),
    "alert": events.security_alert(HERE, events.NODE_AUTHENTICATION, "<X>@::1", "unknown", 10.0),
    "login": events.user_authentication(HERE, Endpoint("", "::1"), 10.0, right=True),
    "wrong login": events.user_authentication(HERE, Endpoint("", "::1"), 10.0, right=False),
    "changed": events.configuration_changed(
        HERE, "root", events.SOFTWARE_CONFIGURATION, "model", 10.0
    ),
}


def schema() -> etree.RelaxNG:
    return etree.RelaxNG(file=str(Path(__file__).with_name("audit.rng")))


@pytest.mark.parametrize("name", EVENTS)
def test_every_message_follows_the_schema(name: str) -> None:
    judge = schema()
    message = etree.fromstring(as_xml(EVENTS[name], "CXRAI@host", "Clinic"))
    assert judge.validate(message), judge.error_log


def test_the_schema_refuses_what_is_not_of_it() -> None:
    message = etree.fromstring(as_xml(EVENTS["begun"], "CXRAI@host"))
    message[0].set("EventActionCode", "X")
    assert not schema().validate(message)


def test_a_transfer_names_both_ends_the_study_its_instances_and_the_patient() -> None:
    message = etree.fromstring(as_xml(EVENTS["transferred"], "CXRAI@host"))
    assert message.find("EventIdentification/EventID").get("csd-code") == "110104"
    roles = {
        one.get("UserID"): one.find("RoleIDCode").get("csd-code")
        for one in message.findall("ActiveParticipant")
    }
    assert roles == {"ORTHANC": "110153", "CXRAI": "110152"}
    assert [one.get("UID") for one in message.iter("Instance")] == ["1.2.3.4", "1.2.3.5"]
    study, patient = message.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert patient.get("ParticipantObjectID") == "PAT1<&>"


def test_words_of_an_alert_cannot_become_markup() -> None:
    event: AuditEvent = events.security_alert(
        HERE, events.NODE_AUTHENTICATION, "a", "</AuditMessage>\x00", 1.0
    )
    message = etree.fromstring(as_xml(event, "CXRAI@host"))
    detail = message.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert b64decode(detail.get("value")) == b"</AuditMessage>\x00"
