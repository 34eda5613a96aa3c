"""HL7 v2.5.1 ORU^R01: the findings as a message to a receiver.

Never final (OBR-25 and OBX-11: P, or C for a correction): no physician has seen them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.exchange.orders import (
    UNREGISTERED,
    OrderNumber,
    Patient,
    PatientKey,
    Registered,
)
from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.identity import analysed
from dicom_node.domain.study import HL7Destination, Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom import header
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.hl7 import text as er7
from dicom_node.results import words
from dicom_node.results.common import ExaminedImage, object_uid
from dicom_node.results.messages import oru_dialect
from dicom_node.results.messages.oru_dialect import Observation

NOTICE = "AI RESULT - NOT FOR DIAGNOSTIC USE - requires physician review"
SEXES = ("M", "F", "O")


@dataclass(frozen=True, slots=True)
class HL7Context:
    """Between whom and when a message goes; `made_at` is POSIX seconds."""

    made_at: float
    destination: HL7Destination
    sending_application: str = "CXRAI"
    sending_facility: str = ""
    zone: tzinfo | None = None
    corrected: bool = False
    """Takes back what an earlier message said."""
    known: Registered = UNREGISTERED
    """What the order system says of the image's order and patient."""

    @property
    def status(self) -> str:
        """OBR-25 and OBX-11 (HL7 tables 0123 and 0085): preliminary, or a correction."""
        return "C" if self.corrected else "P"


def build(examined: ExaminedImage, context: HL7Context) -> ReportObject | None:
    """Write one OBX group per finding of the pipelines that read the image.

    None when no pipeline read it, and for a patient without identifier unless
    the receiver takes such. Raises BadSettings for an unknown charset.
    """
    source, radiograph, findings = examined
    read = analysed(findings)
    patient_id = text(source, "PatientID")
    to = context.destination
    if not any(answer.findings for answer in read):
        return None
    if not patient_id and not to.allow_empty_patient_id:
        return None
    uid = object_uid(source, read, "oru", to.name, to.charset)
    zone = header.utc_offset(source) or context.zone
    made = f"{datetime.fromtimestamp(context.made_at, zone):%Y%m%d%H%M%S}"
    segments = (
        _msh(context, made, control_id(uid)),
        _pid(source, patient_id, context),
        er7.segment("PV1", {1: "1", 2: "U"}),
        *_order(source, made, context),
        *_numbered(_observations(examined, context, made), to),
        *_notes(radiograph, read),
        oru_dialect.study_segment(text(source, "StudyInstanceUID")),
    )
    chosen = (segment for segment in segments if oru_dialect.takes_segment(segment, to))
    content = er7.message(chosen).encode(er7.codec(to.charset), "replace")
    return ReportObject("oru", "", uid, "", content)


def control_id(uid: str) -> str:
    """Derive 20 characters, MSH-10 say from the message's UID: a repeat has the same."""
    return hashlib.sha256(uid.encode()).hexdigest()[:20].upper()


def _msh(context: HL7Context, made: str, identifier: str) -> str:
    to = context.destination
    values = {
        # MSH-1 is the separator itself, so everything stands one place to the left
        1: r"^~\&",
        2: er7.escaped(context.sending_application),
        3: er7.escaped(context.sending_facility),
        4: er7.escaped(to.receiving_application),
        5: er7.escaped(to.receiving_facility),
        6: made,
        8: oru_dialect.message_type(to),
        9: identifier,
        10: "P",
        11: to.version,
        16: "USA",
        17: to.charset,
    }
    return er7.segment("MSH", values)


def _pid(source: Dataset, patient_id: str, context: HL7Context) -> str:
    """Name the patient as the image does, but for what the order system corrected."""
    registered = context.known.patient or Patient(PatientKey())
    patient_id = registered.key.patient_id or patient_id
    issuer = registered.key.issuer or text(source, "IssuerOfPatientID")
    sex = registered.sex or text(source, "PatientSex").upper()
    name = registered.name or text(source, "PatientName")
    born = registered.birth_date or text(source, "PatientBirthDate")
    return er7.segment(
        "PID",
        {
            1: "1",
            # required even where a site takes patients without: then its type stands alone
            3: er7.components(patient_id, "", "", issuer, "MR"),
            5: er7.person(name, context.destination.charset),
            7: er7.date(born),
            8: sex if sex in SEXES else "",
        },
    )


def _order(source: Dataset, made: str, context: HL7Context) -> tuple[str, str]:
    """Name the order; an image without one gets a filler number that corrections have too."""
    known = context.known
    placer = _number(known.placer, text(source, "PlacerOrderNumberImagingServiceRequest"))
    accession = er7.escaped(text(source, "AccessionNumber"))
    filler = _number(known.filler, text(source, "FillerOrderNumberImagingServiceRequest"))
    filler = filler or accession or control_id(f"order of {text(source, 'SOPInstanceUID')}")
    return (
        er7.segment("ORC", {1: "RE", 2: placer, 3: filler, 5: "CM"}),
        er7.segment(
            "OBR",
            {
                1: "1",
                2: placer,
                3: filler,
                4: oru_dialect.coded_for(codes.PLAIN_CHEST_XRAY, context.destination),
                7: _acquired_at(source),
                18: accession,
                22: made,
                24: "RAD",
                25: context.status,
            },
        ),
    )


def _number(registered: OrderNumber, written: str) -> str:
    """Write an order number (EI) as the order system gave it, or else as the image did."""
    return (
        er7.components(registered.value, registered.namespace)
        if registered.value
        else er7.escaped(written)
    )


def _acquired_at(source: Dataset) -> str:
    """Say when the image was acquired, as exactly as the source does."""
    for kind in ("Acquisition", "Content", "Study"):
        day = er7.date(text(source, f"{kind}Date"))
        if day:
            return day + er7.time(text(source, f"{kind}Time"))
    return ""


def _numbered(observations: Iterator[Observation], to: HL7Destination) -> Iterator[str]:
    for number, fields in enumerate(observations, start=1):
        yield er7.segment("OBX", {1: str(number), **oru_dialect.observation_for(fields, to)})


def _observations(examined: ExaminedImage, context: HL7Context, made: str) -> Iterator[Observation]:
    to = context.destination
    study = {
        2: "ST",
        3: oru_dialect.coded_for(codes.DICOM_STUDY, to),
        5: er7.escaped(text(examined.source, "StudyInstanceUID")),
    }
    # O: a detail of the order, not a result
    yield {**study, 11: "O", 14: made}
    every = [finding for answer in analysed(examined.findings) for finding in answer.findings]
    for sub_id, finding in enumerate(every, start=1):
        for fields in _group(finding, to):
            yield {**fields, 4: str(sub_id), 11: context.status, 14: made}
    if "NTE" not in to.segments:  # the notice must arrive all the same
        yield {
            2: "TX",
            3: oru_dialect.coded_for(codes.COMMENT, to),
            5: NOTICE,
            11: context.status,
            14: made,
        }
    if to.embed_pdf:
        who = (context.made_at, context.sending_application, context.sending_facility, context.zone)
        yield {**oru_dialect.page(examined, who), 11: context.status, 14: made}


def _group(finding: Finding, to: HL7Destination) -> Iterator[Observation]:
    flag = words.abnormal_flag(finding)
    presence = er7.coded(codes.PRESENCE[finding.presence])
    yield {2: "CWE", 3: oru_dialect.coded_for(finding.code, to), 5: presence, 8: flag}
    absent = finding.presence is Presence.ABSENT
    side = codes.SIDE.get(finding.side)
    if side is not None and not absent:
        yield {2: "CWE", 3: oru_dialect.coded_for(codes.LATERALITY, to), 5: er7.coded(side)}
    yield {
        2: "NM",
        3: oru_dialect.coded_for(codes.PROBABILITY, to),
        5: words.probability(finding),
        6: er7.coded(codes.NO_UNITS),
        7: "0-1",
    }
    if not absent:
        yield from _sizes(finding, to)
    said = er7.escaped(words.impression(finding))
    yield {2: "TX", 3: oru_dialect.coded_for(codes.IMPRESSIONS, to), 5: said, 8: flag}


def _sizes(finding: Finding, to: HL7Destination) -> Iterator[Observation]:
    concepts = [measurement.concept for measurement in finding.measurements]
    for measurement in finding.measurements:
        unit = er7.coded(measurement.unit)
        fields = {
            2: "NM",
            3: oru_dialect.coded_for(measurement.concept, to),
            5: words.amount(measurement),
            6: unit,
        }
        # two distances, say, are told apart by the method (OBX-17), in words
        shared = concepts.count(measurement.concept) > 1
        yield {**fields, 17: er7.components("", measurement.name)} if shared else fields


def _notes(radiograph: Radiograph | None, read: tuple[Findings, ...]) -> Iterator[str]:
    said = [NOTICE, *(f"Algorithm: {words.algorithm(answer)}" for answer in read)]
    said += [] if radiograph is None else radiograph.notes
    for answer in read:
        said += [f"Size: {finding.size_class}" for finding in answer.findings if finding.size_class]
        said += answer.notes
    for number, note in enumerate(dict.fromkeys(said), start=1):
        yield er7.segment("NTE", {1: str(number), 2: "L", 3: er7.escaped(note)})
