"""Audit messages as values (PS3.15 A.5)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["C", "R", "U", "D", "E"]
Outcome = Literal["0", "4", "8", "12"]
"""Success, minor, serious, major failure."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value; those of PS3.16 context groups 400 to 405 are of DCM."""

    value: str
    meaning: str
    scheme: str = "DCM"


APPLICATION_ACTIVITY = Code("110100", "Application Activity")
BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED = Code("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED = Code("110105", "DICOM Study Deleted")
EXPORT = Code("110106", "Export")
QUERY = Code("110112", "Query")
SECURITY_ALERT = Code("110113", "Security Alert")
USER_AUTHENTICATION = Code("110114", "User Authentication")

APPLICATION_START = Code("110120", "Application Start")
APPLICATION_STOP = Code("110121", "Application Stop")
LOGIN = Code("110122", "Login")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
SECURITY_CONFIGURATION = Code("110129", "Security Configuration")
OBJECT_SECURITY = Code("110135", "Object Security Attributes Changed")
SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")

APPLICATION = Code("110150", "Application")
LAUNCHER = Code("110151", "Application Launcher")
DESTINATION = Code("110152", "Destination Role ID")
SOURCE = Code("110153", "Source Role ID")

STUDY_UID = Code("110180", "Study Instance UID")
SOP_CLASS_UID = Code("110181", "SOP Class UID")
NODE_ID = Code("110182", "Node ID")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")

NOBODY = "none"
"""Stands for an identifier that the image lacks; the schema wants one."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part: a process, an application entity or a host."""

    user_id: str
    requestor: bool
    role: Code | None = None
    host: str = ""
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What it was about: a study, a patient, a query, a node."""

    id: str
    id_type: Code
    type: Literal["1", "2"]
    role: str = ""
    """ParticipantObjectTypeCodeRole (A.5.1.2.2)."""
    life_cycle: str = ""
    query: bytes = b""
    details: tuple[tuple[str, str], ...] = ()
    instances: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """SOP Instance UIDs by SOP class."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One message, before it is written as XML."""

    event: Code
    at: float
    action: Action = "E"
    outcome: Outcome = "0"
    type: Code | None = None
    participants: tuple[Participant, ...] = ()
    subjects: tuple[Subject, ...] = ()


Auditor = Callable[[AuditEvent], None]
"""Takes an event into the trail; never raises."""


def discard_event(_event: AuditEvent) -> None:
    """Stand in for the trail of a node that keeps none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a transfer or a query."""

    name: str
    """An AE title, or the URL of a web server."""
    host: str = ""


@dataclass(frozen=True, slots=True)
class TransferredInstances:
    """Instances of one study and patient, by SOP class."""

    study_uid: str
    patient_id: str
    instances: tuple[tuple[str, tuple[str, ...]], ...] = ()


def sorted_by_class(refs: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Gather (SOP class, SOP instance) pairs by class, each instance once."""
    found: dict[str, dict[str, None]] = {}
    for sop_class, sop_instance in refs:
        found.setdefault(sop_class, {})[sop_instance] = None
    return tuple((sop_class, tuple(uids)) for sop_class, uids in found.items())


def application_activity(node: Endpoint, role: str, at: float, *, started: bool) -> AuditEvent:
    """Say that a role started or stopped (A.5.3.1)."""
    return AuditEvent(
        APPLICATION_ACTIVITY,
        at,
        type=APPLICATION_START if started else APPLICATION_STOP,
        participants=(
            Participant(role, False, APPLICATION, node.host, f"AETITLES={node.name}"),
            Participant("dicom-node", True, LAUNCHER, node.host),
        ),
    )


def begin_transferring(
    source: Endpoint, destination: Endpoint, transfer: TransferredInstances, at: float
) -> AuditEvent:
    """Say that a study begins to be transferred (A.5.3.3)."""
    return AuditEvent(
        BEGIN_TRANSFERRING,
        at,
        participants=_ends(source, destination),
        subjects=_of_study(TransferredInstances(transfer.study_uid, transfer.patient_id)),
    )


def instances_transferred(
    source: Endpoint,
    destination: Endpoint,
    transfer: TransferredInstances,
    at: float,
    action: Action = "C",
    outcome: Outcome = "0",
) -> AuditEvent:
    """Say that instances were transferred (A.5.3.7); "R" where they were known already."""
    return AuditEvent(
        INSTANCES_TRANSFERRED,
        at,
        action,
        outcome,
        participants=_ends(source, destination),
        subjects=_of_study(transfer),
    )


def data_export(
    source: Endpoint, destination: Endpoint, transfer: TransferredInstances, at: float
) -> AuditEvent:
    """Say that a message about a study left by HL7 or FHIR (A.5.3.5)."""
    return AuditEvent(
        EXPORT, at, "R", participants=_ends(source, destination), subjects=_of_study(transfer)
    )


def query(
    source: Endpoint, destination: Endpoint, model: str, request: bytes, at: float
) -> AuditEvent:
    """Say that a peer was asked for studies (A.5.3.10); `model` is a SOP class or "QIDO-RS"."""
    asked = Subject(model, SOP_CLASS_UID, "2", "3", query=request)
    return AuditEvent(QUERY, at, participants=_ends(source, destination), subjects=(asked,))


def instances_deleted(
    node: Endpoint, transfer: TransferredInstances, at: float, *, whole: bool
) -> AuditEvent:
    """Say that retention erased a study (A.5.3.4), or instances of it (A.5.3.6)."""
    return AuditEvent(
        STUDY_DELETED if whole else INSTANCES_ACCESSED,
        at,
        "D",
        participants=(Participant("retention", True, None, node.host, f"AETITLES={node.name}"),),
        subjects=_of_study(transfer, "15"),
    )


def security_alert(
    node: Endpoint, kind: Code, subject: str, words: str, at: float, *, outcome: Outcome = "8"
) -> AuditEvent:
    """Raise a security alert about a node (A.5.3.11); `words` name no patient."""
    about = Subject(subject or NOBODY, NODE_ID, "2", "13", details=(("Alert Description", words),))
    return AuditEvent(
        SECURITY_ALERT,
        at,
        outcome=outcome,
        type=kind,
        participants=(Participant(node.name, True, None, node.host),),
        subjects=(about,),
    )


def configuration_changed(
    node: Endpoint, user: str, kind: Code, words: str, at: float
) -> AuditEvent:
    """Say that a person changed what the node does (A.5.3.11)."""
    event = security_alert(node, kind, f"{node.name}@{node.host}", words, at, outcome="0")
    person = Participant(user, True, None, node.host)
    return replace(event, participants=(person, Participant(node.name, False, None, node.host)))


def user_authentication(node: Endpoint, caller: Endpoint, at: float, *, right: bool) -> AuditEvent:
    """Say that somebody showed credentials, right or wrong (A.5.3.12)."""
    return AuditEvent(
        USER_AUTHENTICATION,
        at,
        outcome="0" if right else "8",
        type=LOGIN,
        participants=(
            Participant(caller.name or NOBODY, True, None, caller.host),
            Participant(node.name, False, None, node.host),
        ),
    )


def _ends(source: Endpoint, destination: Endpoint) -> tuple[Participant, ...]:
    return (
        Participant(source.name or NOBODY, True, SOURCE, source.host),
        Participant(destination.name or NOBODY, False, DESTINATION, destination.host),
    )


def _of_study(transfer: TransferredInstances, life_cycle: str = "") -> tuple[Subject, ...]:
    study = Subject(
        transfer.study_uid or NOBODY,
        STUDY_UID,
        "2",
        "3",
        life_cycle=life_cycle,
        instances=transfer.instances,
    )
    return study, Subject(transfer.patient_id or NOBODY, PATIENT_NUMBER, "1", "1")
