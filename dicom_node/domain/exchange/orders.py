"""What an order system says: orders, patients, merges."""

from dataclasses import dataclass
from typing import Literal

from dicom_node.domain.errors import NodeError
from dicom_node.domain.work import PRIORITY_RANK, Priority

AckCode = Literal["AA", "AE", "AR"]
"""HL7 table 0008: taken; wrong content; not now, or not for us."""

PRIORITIES: dict[str, Priority] = {
    "S": "urgent",  # stat
    "A": "high",  # as soon as possible
    "P": "high",  # before an operation
    "C": "high",  # call back: somebody waits for the result
    "T": "high",  # timing critical
    "R": "routine",
}
"""HL7 table 0485; TQ1-9, OBR-27.6 and ORC-7.6 use the same letters."""
CANCELLING = ("CA", "OC", "DC", "OD", "CR", "DR")
"""Order controls of HL7 table 0119 that end an order."""


@dataclass(frozen=True, slots=True)
class OrderNumber:
    """A placer or filler order number (HL7 EI): value and namespace."""

    value: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class PatientKey:
    """A patient identifier (HL7 CX): value and assigning authority."""

    patient_id: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as an order system describes them; unknown facts are empty."""

    key: PatientKey
    name: str = ""
    """In DICOM's form (PS3.5 6.2.1): family^given^middle^prefix^suffix."""
    birth_date: str = ""
    """YYYYMMDD."""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of an ORM or OMI message; unknown numbers are empty."""

    control: str
    """ORC-1."""
    accession_number: str = ""
    placer: OrderNumber = OrderNumber()
    filler: OrderNumber = OrderNumber()
    study_uid: str = ""
    patient: PatientKey = PatientKey()
    priority: Priority | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the message ends the order; analysis goes on all the same."""
        return self.control in CANCELLING


@dataclass(frozen=True, slots=True)
class Merge:
    """Two identifiers of one patient: `prior` is used no longer (ADT^A40)."""

    prior: PatientKey
    surviving: PatientKey


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """All that one message says."""

    orders: tuple[Order, ...] = ()
    patients: tuple[Patient, ...] = ()
    merges: tuple[Merge, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The MSH fields that an acknowledgement needs, as they came (latin-1)."""

    control_id: str = ""
    message_type: str = ""
    """MSH-9.1, for example "ORM"."""
    trigger: str = ""
    """MSH-9.2, for example "O01"."""
    processing_id: str = ""
    version: str = ""
    sender: tuple[str, str] = ("", "")
    """MSH-3 and MSH-4."""
    receiver: tuple[str, str] = ("", "")
    """MSH-5 and MSH-6."""
    charset: str = ""
    """MSH-18, its first repetition."""
    accept: str = ""
    """MSH-15: when an accept acknowledgement is wanted; empty in original mode."""
    application: str = ""
    """MSH-16: when an application acknowledgement is wanted."""
    separators: str = "|^~\\&"
    """MSH-1 and MSH-2; empty where they cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message and where; never a value of the message."""

    code: AckCode
    condition: int
    """HL7 table 0357, for example 101 (required field missing)."""
    words: str
    segment: str = "MSH"
    sequence: int = 1
    field: int = 0
    """0: the segment itself."""


class MessageRefused(NodeError):
    """The message is answered with an error; nothing of it was stored."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code} {fault.condition} {fault.words}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class ImageKeys:
    """What an image's header says of its order and patient."""

    study_uid: str
    accession_number: str = ""
    placer_number: str = ""
    filler_number: str = ""
    patient: PatientKey = PatientKey()


@dataclass(frozen=True, slots=True)
class Registered:
    """What the order system knows of an image, for its results."""

    placer: OrderNumber = OrderNumber()
    filler: OrderNumber = OrderNumber()
    patient: Patient | None = None
    """None: as the image says. Its identifier is the surviving one."""
    priority: Priority | None = None
    """Of the order; None where it says nothing, or is cancelled."""
    contradicted: bool = False
    """An order has the image's numbers and another patient; it was left aside."""


UNREGISTERED = Registered()
"""Nothing is known."""


def raised_priority(priority: Priority, order: Priority | None) -> Priority:
    """Raise a priority to that of the order; never lower it."""
    return priority if order is None else min(priority, order, key=PRIORITY_RANK.__getitem__)


def priority_of(code: str) -> Priority | None:
    """Translate a priority code; codes unknown here, and intervals (TS30), say nothing."""
    return PRIORITIES.get(code.strip().upper())


def highest(priorities: tuple[Priority, ...]) -> Priority | None:
    """Give the most urgent one; None of none."""
    return min(priorities, key=PRIORITY_RANK.__getitem__, default=None)


def same_patient(key: PatientKey, other: PatientKey) -> bool:
    """Say whether two identifiers can be the same patient's.

    An identifier is unique within its issuer alone; images and messages often leave
    the issuer out, and a missing one contradicts nothing.
    """
    issuers = {key.issuer, other.issuer} - {""}
    return key.patient_id == other.patient_id and len(issuers) <= 1
