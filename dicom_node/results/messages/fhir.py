"""FHIR R4: the findings as a transaction of a report and its observations.

A DiagnosticReport (R4 10.3) with an Observation (10.1) per finding. Each entry is a
conditional create (3.1.0.5.3) by an identifier that a repeat has too, so sending
twice stores once; a correction is a conditional update (3.1.0.4.3) of the same
resources. Never final: no physician has seen them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from uuid import UUID

from fhir.resources.R4B.bundle import Bundle
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.destinations import FhirDestination
from dicom_node.domain.exchange.orders import UNREGISTERED, OrderNumber, Registered
from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.identity import analysed
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ReportObject, derive_uid
from dicom_node.formats.dicom import header
from dicom_node.formats.dicom.attributes import text
from dicom_node.results import words
from dicom_node.results.common import NOT_FOR_DIAGNOSIS, UNVERIFIED, ExaminedImage, object_uid
from dicom_node.results.messages.observation import (
    Json,
    algorithm,
    bare,
    concept,
    identified,
    observation,
    oid,
)

V2 = "http://terminology.hl7.org/CodeSystem/v2-"


@dataclass(frozen=True, slots=True)
class FhirContext:
    """For whom and when the resources are made; `made_at` is POSIX seconds."""

    made_at: float
    destination: FhirDestination
    institution: str = ""
    zone: tzinfo | None = None
    corrected: bool = False
    """Takes back what an earlier report said."""
    route: str = ""
    """By which the report goes: each has its own."""
    known: Registered = UNREGISTERED
    """What the order system says of the image's order and patient."""


def build(examined: ExaminedImage, context: FhirContext) -> ReportObject | None:
    """Write the transaction as UTF-8 JSON, validated by the R4 schema.

    None when no pipeline read the image, and for a patient without identifier unless
    the receiver takes such.
    """
    source, radiograph, findings = examined
    read = analysed(findings)
    to = context.destination
    if not any(answer.findings for answer in read):
        return None
    if not text(source, "PatientID") and not to.allow_empty_patient_id:
        return None
    uid = object_uid(source, read, "fhir", to.name)
    # not of the reading, but of what it is about: a correction says it anew in its place
    pipelines = sorted(answer.algorithm.name for answer in read)
    about = derive_uid(text(source, "SOPInstanceUID"), "fhir", to.name, context.route, *pipelines)
    shared = _shared(source, context)
    observations = [
        observation(device, finding, derive_uid(about, name), shared)
        for name, device, finding in _each(read)
    ]
    report = _report(source, radiograph, read, context, about) | shared
    report["result"] = [{"reference": _urn(observation)} for observation in observations]
    entries = [_entry(resource, context) for resource in (*observations, report)]
    bundle = Bundle.model_validate({"type": "transaction", "entry": entries})
    return ReportObject("fhir", "", uid, "", bundle.model_dump_json().encode())


def judge(content: bytes) -> str:
    """Say that a message is valid; raises GiveUp with what the schema says."""
    try:
        bundle = Bundle.model_validate_json(content)
    except ValueError as error:  # pydantic's own is such
        raise GiveUp(f"not valid FHIR R4: {error}") from error
    return f"valid FHIR R4: {bundle.type} of {len(bundle.entry or ())} resources"


def _each(read: tuple[Findings, ...]) -> Iterator[tuple[str, Json, Finding]]:
    """Give every finding with its name among them all and the device that made it."""
    for answer in read:
        device, seen = algorithm(answer), Counter[str]()
        for finding in answer.findings:
            seen[finding.code.value] += 1
            number = seen[finding.code.value]
            yield f"{answer.algorithm.name}/{finding.code.value}/{number}", device, finding


def _entry(resource: Json, context: FhirContext) -> Json:
    """Ask for a conditional create, or for a correction a conditional update."""
    first, kind = resource["identifier"][0], resource["resourceType"]
    query = f"identifier={first['system']}|{first['value']}"
    request = {"method": "POST", "url": kind, "ifNoneExist": query}
    if context.corrected:
        request = {"method": "PUT", "url": f"{kind}?{query}"}
    return {"fullUrl": _urn(resource), "resource": resource, "request": request}


def _urn(resource: Json) -> str:
    """Name a resource within the transaction: a UID under 2.25 is a UUID (PS3.5 B.2)."""
    uid = resource["identifier"][0]["value"].removeprefix("urn:oid:2.25.")
    return f"urn:uuid:{UUID(int=int(uid))}"


def _shared(source: Dataset, context: FhirContext) -> Json:
    """Give what a report and its observations have in common."""
    zone = header.utc_offset(source) or context.zone
    made = datetime.fromtimestamp(context.made_at, zone)
    return bare(
        {
            "status": "corrected" if context.corrected else "preliminary",
            "subject": _subject(source, context),
            "effectiveDateTime": _acquired_at(source),
            "issued": (made if zone else made.astimezone()).isoformat(timespec="seconds"),
        }
    )


def _report(
    source: Dataset,
    radiograph: Radiograph | None,
    read: tuple[Findings, ...],
    context: FhirContext,
    about: str,
) -> Json:
    present = [
        finding.code
        for answer in read
        for finding in answer.findings
        if finding.presence is Presence.PRESENT
    ]
    return bare(
        {
            "resourceType": "DiagnosticReport",
            "identifier": [identified(about)],
            "basedOn": list(_orders(source, context.known)),
            "category": [{"coding": [{"system": f"{V2}0074", "code": "RAD"}]}],
            "code": concept(codes.DIAGNOSTIC_IMAGING_REPORT),
            "performer": [{"display": context.institution}] if context.institution else [],
            "imagingStudy": [_study(source)],
            "conclusion": "\n".join(_sentences(radiograph, read)),
            "conclusionCode": [concept(code) for code in dict.fromkeys(present)],
        }
    )


def _sentences(radiograph: Radiograph | None, read: tuple[Findings, ...]) -> Iterator[str]:
    yield from (words.impression(finding) for answer in read for finding in answer.findings)
    notes = [] if radiograph is None else list(radiograph.notes)
    notes += [note for answer in read for note in answer.notes]
    yield from (words.capital(note) for note in dict.fromkeys(notes))
    yield from (f"Algorithm: {words.algorithm(answer)}" for answer in read)
    yield from (UNVERIFIED, NOT_FOR_DIAGNOSIS)


def _study(source: Dataset) -> Json:
    """Refer to the study by its UID, wherever the server keeps it (R4 ImagingStudy)."""
    value = oid(text(source, "StudyInstanceUID"))
    return {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": value}}


def _subject(source: Dataset, context: FhirContext) -> Json:
    registered = context.known.patient
    value = registered.key.patient_id if registered is not None else text(source, "PatientID")
    issuer = (registered.key.issuer if registered is not None else "") or text(
        source, "IssuerOfPatientID"
    )
    name = (registered.name if registered is not None else "") or text(source, "PatientName")
    number = _number(value, "MR", issuer) | bare({"system": context.destination.patient_system})
    shown = " ".join(part for part in name.split("=")[0].split("^") if part)
    return bare({"type": "Patient", "identifier": number if value else {}, "display": shown})


def _orders(source: Dataset, known: Registered) -> Iterator[Json]:
    """Refer to the order by its placer's number and by the accession number."""
    placer = known.placer
    if not placer.value:
        placer = OrderNumber(text(source, "PlacerOrderNumberImagingServiceRequest"))
    accession = text(source, "AccessionNumber")
    numbers = ((placer.value, "PLAC", placer.namespace), (accession, "ACSN", ""))
    for value, kind, issuer in numbers:
        if value:
            yield {"type": "ServiceRequest", "identifier": _number(value, kind, issuer)}


def _number(value: str, kind: str, issuer: str) -> dict[str, Any]:
    """Write an identifier of a kind of HL7 table 0203."""
    coded = {"coding": [{"system": f"{V2}0203", "code": kind}]}
    return bare({"type": coded, "value": value, "assigner": bare({"display": issuer})})


def _acquired_at(source: Dataset) -> str:
    """Say when the image was acquired; without a known time zone the day alone."""
    for kind in ("Acquisition", "Content", "Study"):
        day, time = text(source, f"{kind}Date"), text(source, f"{kind}Time")
        try:
            taken = datetime.strptime(day.replace(".", ""), "%Y%m%d")
        except ValueError:
            continue
        zone = header.utc_offset(source)
        try:
            at = datetime.strptime(time.replace(":", "")[:6], "%H%M%S").time()
        except ValueError:
            zone = None
        if zone is None:
            return taken.date().isoformat()
        return datetime.combine(taken, at, zone).isoformat()
    return ""
