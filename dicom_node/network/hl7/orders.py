"""ORM, OMI and ADT messages as orders, patients and merges.

HL7 v2.5.1 chapters 3 (ADT) and 4 (orders); where a study's UID and the accession
number stand follows IHE RAD-4 (ORM: ZDS-1, OBR-18) and v2.5.1's IPC segment (OMI).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dicom_node.domain.exchange.orders import (
    Envelope,
    Fault,
    Merge,
    MessageRefused,
    Order,
    OrderMessage,
    OrderNumber,
    Patient,
    PatientKey,
    highest,
    priority_of,
)
from dicom_node.formats.hl7.segments import Segment, segments_of

EVENTS = {("ORM", "O01"), ("OMI", "O23"), ("ADT", "A08"), ("ADT", "A31"), ("ADT", "A40")}
VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
WANTED = ("PID", "MRG", "ORC", "OBR", "TQ1", "ZDS", "IPC")
HOME_IDS = ("MR", "PI")
"""CX-5 of the identifier that images carry; without such the first one counts."""
UID = re.compile(r"[0-9.]{1,64}")
DATE = re.compile(r"\d{8}")
# what separates in a DICOM person name, and controls (PS3.5 6.2)
NOT_IN_NAMES = re.compile(r"[\\^=\x00-\x1f]")


def parse(message: bytes, envelope: Envelope, processing_id: str = "P") -> OrderMessage:
    """Read a message; raises MessageRefused with the answer for one that cannot be used."""
    _admit(envelope, processing_id)
    segments = segments_of(message, envelope, WANTED)
    if envelope.message_type == "ADT":
        if envelope.trigger == "A40":
            return _merges(segments)
        return OrderMessage(patients=(_patient(_first(segments, "PID"), 1),))
    return _orders(segments)


def _admit(envelope: Envelope, processing_id: str) -> None:
    """Look at MSH alone (HL7 2.9.2.1); raises MessageRefused."""
    known_types = {kind for kind, _ in EVENTS}
    if envelope.message_type not in known_types:
        raise MessageRefused(Fault("AR", 200, "message type not supported", field=9))
    if (envelope.message_type, envelope.trigger) not in EVENTS:
        raise MessageRefused(Fault("AR", 201, "event not supported", field=9))
    if envelope.processing_id != processing_id:
        raise MessageRefused(Fault("AR", 202, "processing id not supported", field=11))
    if envelope.version not in VERSIONS:
        raise MessageRefused(Fault("AR", 203, "version not supported", field=12))
    if not envelope.control_id:
        raise MessageRefused(Fault("AE", 101, "no message control id", field=10))


def _first(segments: list[Segment], name: str) -> Segment:
    for segment in segments:
        if segment.name == name:
            return segment
    raise MessageRefused(Fault("AE", 100, "required segment missing", name))


def _patient(segment: Segment, sequence: int) -> Patient:
    key = _patient_key(segment, 3)
    if not key.patient_id:
        raise MessageRefused(Fault("AE", 101, "no patient identifier", "PID", sequence, 3))
    born = segment.text(7)[:8]
    sex = segment.text(8).upper()
    return Patient(
        key,
        _name(segment),
        born if DATE.fullmatch(born) else "",
        sex if sex in ("M", "F", "O") else "",
    )


def _patient_key(segment: Segment, number: int) -> PatientKey:
    every = [
        (segment.text(number, 1, n), segment.text(number, 4, n), segment.text(number, 5, n))
        for n in range(segment.repetitions(number))
    ]
    every = [key for key in every if key[0]]
    home = [key for key in every if key[2] in HOME_IDS] or every
    return PatientKey(*home[0][:2]) if home else PatientKey()


def _name(segment: Segment) -> str:
    """Give PID-5 in DICOM's form: its groups by XPN-8, prefix and suffix change places."""
    groups: dict[str, str] = {}
    for n in range(segment.repetitions(5)):
        family, given, middle, suffix, prefix, letter = (
            NOT_IN_NAMES.sub(" ", segment.text(5, component, n)) for component in (1, 2, 3, 4, 5, 8)
        )
        written = "^".join((family, given, middle, prefix, suffix)).rstrip("^")
        groups.setdefault(letter if letter in ("A", "I", "P") else "A", written)
    return "=".join(groups.get(letter, "") for letter in "AIP").rstrip("=")


def _merges(segments: list[Segment]) -> OrderMessage:
    """Pair each MRG with the PID before it."""
    merges, patients = [], []
    patient = _patient(_first(segments, "PID"), 1)
    _first(segments, "MRG")
    pids = mrgs = 0
    for segment in segments:
        if segment.name == "PID":
            pids += 1
            patient = _patient(segment, pids)
            patients.append(patient)
        elif segment.name == "MRG":
            mrgs += 1
            prior = _patient_key(segment, 1)
            if not prior.patient_id:
                raise MessageRefused(Fault("AE", 101, "no prior identifier", "MRG", mrgs, 1))
            if prior == patient.key:
                fault = Fault("AE", 102, "a patient merged with itself", "MRG", mrgs, 1)
                raise MessageRefused(fault)
            merges.append(Merge(prior, patient.key))
    return OrderMessage(patients=tuple(patients), merges=tuple(merges))


@dataclass
class _Group:
    """The segments of one order."""

    orc: Segment
    obr: Segment | None = None
    others: list[Segment] = field(default_factory=list)

    def either(self, number: int) -> OrderNumber:
        """Give the placer (2) or filler (3) number of ORC, or else OBR."""
        for segment in (self.orc, self.obr):
            if segment is not None and segment.text(number):
                return OrderNumber(segment.text(number), segment.text(number, 2))
        return OrderNumber()

    def other(self, name: str, number: int) -> str:
        """Give a field of the first such segment that has it."""
        every = (part.text(number) for part in self.others if part.name == name)
        return next((value for value in every if value), "")

    def priorities(self) -> Iterator[str]:
        """Give every priority code: TQ1-9, OBR-27.6 and OBR-5, ORC-7.6."""
        yield from (part.text(9) for part in self.others if part.name == "TQ1")
        yield self.orc.text(7, 6)
        if self.obr is not None:
            yield from (self.obr.text(27, 6), self.obr.text(5))


def _orders(segments: list[Segment]) -> OrderMessage:
    groups = list(_groups(segments))
    if not groups:
        raise MessageRefused(Fault("AE", 100, "required segment missing", "ORC"))
    # a patient is optional in an order (HL7 4.4.1), but one without identifier is a fault
    pids = [segment for segment in segments if segment.name == "PID"]
    patient = _patient(pids[0], 1) if pids else None
    study_uids = [uid for group in groups if (uid := _study_uid(group))]
    orders = []
    for sequence, group in enumerate(groups, start=1):
        order = _order(group, sequence, patient, study_uids[-1] if study_uids else "")
        orders.append(order)
    return OrderMessage(tuple(orders), () if patient is None else (patient,))


def _groups(segments: list[Segment]) -> Iterator[_Group]:
    """Cut at each ORC, and at each further OBR of the same ORC."""
    group: _Group | None = None
    for segment in segments:
        if segment.name == "ORC":
            if group is not None:
                yield group
            group = _Group(segment)
        elif group is None:
            if segment.name == "OBR":
                raise MessageRefused(Fault("AE", 100, "OBR before any ORC", "OBR", 1))
        elif segment.name == "OBR" and group.obr is not None:
            yield group
            group = _Group(group.orc, segment)
        elif segment.name == "OBR":
            group.obr = segment
        else:
            group.others.append(segment)
    if group is not None:
        yield group


def _order(group: _Group, sequence: int, patient: Patient | None, study_uid: str) -> Order:
    """Read one order; `study_uid` is the message's, for a group that has none itself."""
    control = group.orc.text(1).upper()
    if not control:
        raise MessageRefused(Fault("AE", 101, "no order control", "ORC", sequence, 1))
    placer, filler = group.either(2), group.either(3)
    accession = group.obr.text(18) if group.obr is not None else ""
    # many sites give the filler order number as the accession number (IHE RAD-4)
    accession = group.other("IPC", 1) or accession or filler.value
    study_uid = _study_uid(group) or study_uid
    if not (accession or placer.value or study_uid):
        raise MessageRefused(Fault("AE", 101, "no order number", "ORC", sequence, 2))
    said = tuple(known for code in group.priorities() if (known := priority_of(code)))
    key = PatientKey() if patient is None else patient.key
    return Order(control, accession, placer, filler, study_uid, key, highest(said))


def _study_uid(group: _Group) -> str:
    uid = group.other("ZDS", 1) or group.other("IPC", 3)
    return uid if UID.fullmatch(uid) else ""
