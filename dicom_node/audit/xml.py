"""Audit messages as XML by the schema of PS3.15 A.5.1."""

import re
from base64 import b64encode
from datetime import UTC, datetime
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

from dicom_node.audit.events import AuditEvent, Code, Participant, Subject

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write."""
APPLICATION_SERVER = "4"
"""AuditSourceTypeCode (A.5.1.2.1)."""


def as_xml(event: AuditEvent, source: str, site: str = "") -> str:
    """Write one message; `source` names the node, `site` the enterprise ("": not said)."""
    message = Element("AuditMessage")
    head = SubElement(
        message,
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=_time(event.at),
        EventOutcomeIndicator=event.outcome,
    )
    _coded(head, "EventID", event.event)
    if event.type is not None:
        _coded(head, "EventTypeCode", event.type)
    for participant in event.participants:
        _participant(message, participant)
    reporter = {"AuditSourceID": legal(source)}
    if site:
        reporter["AuditEnterpriseSiteID"] = legal(site)
    origin = SubElement(message, "AuditSourceIdentification", reporter)
    SubElement(origin, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    for subject in event.subjects:
        _subject(message, subject)
    return tostring(message, encoding="unicode")


def legal(text: str) -> str:
    """Leave out what XML cannot hold."""
    return _ILLEGAL.sub("", text)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _coded(parent: Element, name: str, code: Code) -> None:
    coded = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, coded)


def _participant(message: Element, participant: Participant) -> None:
    said = {
        "UserID": legal(participant.user_id),
        "UserIsRequestor": "true" if participant.requestor else "false",
    }
    if participant.alternative:
        said["AlternativeUserID"] = legal(participant.alternative)
    if participant.host:
        said |= {
            "NetworkAccessPointID": legal(participant.host),
            "NetworkAccessPointTypeCode": _access_point(participant.host),
        }
    element = SubElement(message, "ActiveParticipant", said)
    if participant.role is not None:
        _coded(element, "RoleIDCode", participant.role)


def _access_point(host: str) -> str:
    """Tell an address (2) from a name (1) and a URI (5)."""
    if "://" in host:
        return "5"
    try:
        ip_address(host)
    except ValueError:
        return "1"
    return "2"


def _subject(message: Element, subject: Subject) -> None:
    said = {"ParticipantObjectID": legal(subject.id), "ParticipantObjectTypeCode": subject.type}
    if subject.role:
        said["ParticipantObjectTypeCodeRole"] = subject.role
    if subject.life_cycle:
        said["ParticipantObjectDataLifeCycle"] = subject.life_cycle
    element = SubElement(message, "ParticipantObjectIdentification", said)
    _coded(element, "ParticipantObjectIDTypeCode", subject.id_type)
    if subject.query:
        SubElement(element, "ParticipantObjectQuery").text = b64encode(subject.query).decode()
    else:  # the schema wants one of both; names are left out
        SubElement(element, "ParticipantObjectName")
    for kind, words in subject.details:
        # base64, so that nothing a caller sent is markup here (A.5.1.1)
        value = b64encode(words.encode()).decode()
        SubElement(element, "ParticipantObjectDetail", type=kind, value=value)
    if subject.instances:
        described = SubElement(element, "ParticipantObjectDescription")
        for sop_class, uids in subject.instances:
            said = {"UID": legal(sop_class), "NumberOfInstances": str(len(uids))}
            kind_of = SubElement(described, "SOPClass", said)
            for uid in uids:
                SubElement(kind_of, "Instance", UID=legal(uid))
