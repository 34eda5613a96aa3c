"""One finding as a FHIR R4 Observation."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept, Finding, Findings, Measurement, Presence
from dicom_node.domain.study import NODE_MODEL
from dicom_node.results import words
from dicom_node.results.common import device_uid, operating_point

Json = dict[str, Any]

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    # PS3.16 8.2: our own scheme has no URI but the one that its UID gives
    "99CXRAI": "urn:oid:2.25.331851758267164677234959313766442856987",
}
"""URIs of coding schemes (PS3.16 8)."""
INTERPRETATIONS = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


def observation(device: Json, finding: Finding, uid: str, shared: Json) -> Json:
    """Describe a finding; `shared` is what the report says too, `device` who found it."""
    absent = finding.presence is Presence.ABSENT
    side = "" if absent or finding.side not in codes.SIDE else f", {words.SIDE[finding.side]}"
    site, flag = concept(finding.site), words.abnormal_flag(finding) or "IND"
    site["text"] += side
    return bare(
        {
            "resourceType": "Observation",
            "contained": [device],
            "identifier": [identified(uid)],
            "category": [{"coding": [{"system": CATEGORIES, "code": "imaging"}]}],
            "code": concept(finding.code),
            "valueCodeableConcept": concept(codes.PRESENCE[finding.presence]),
            "interpretation": [{"coding": [{"system": INTERPRETATIONS, "code": flag}]}],
            "note": [{"text": note} for note in _notes(finding)],
            "bodySite": site,
            "device": {"reference": f"#{device['id']}"},
            "component": list(_components(finding)),
        }
        | shared
    )


def algorithm(findings: Findings) -> Json:
    """Describe the algorithm as a device: new weights are a new device."""
    made_by = findings.algorithm
    return bare(
        {
            "resourceType": "Device",
            "id": "algorithm",
            "identifier": [identified(device_uid(made_by))],
            "manufacturer": NODE_MODEL,
            "deviceName": [{"name": made_by.name, "type": "model-name"}],
            "version": [{"value": made_by.version}],
            "note": [{"text": words.algorithm(findings)}],
        }
    )


def concept(code: CodedConcept) -> Json:
    """Write a CodeableConcept; the meaning is its text, for displays differ by system."""
    coding = bare({"system": SYSTEMS.get(code.scheme), "code": code.value})
    return {"coding": [coding], "text": code.meaning}


def identified(uid: str) -> Json:
    """Write a UID as an Identifier (R4 2.24.0.8)."""
    return {"system": "urn:ietf:rfc:3986", "value": oid(uid)}


def oid(uid: str) -> str:
    """Write a UID as a URI."""
    return f"urn:oid:{uid}"


def bare(resource: Json) -> Json:
    """Leave out what is empty: FHIR knows no empty values (R4 2.6.2)."""
    return {name: value for name, value in resource.items() if value not in ("", None, [], {})}


def _notes(finding: Finding) -> Iterator[str]:
    yield words.capital(operating_point(finding))
    if finding.size_class:
        yield f"Size: {finding.size_class}"
    if finding.uncertainty is not None:
        yield words.capital(words.uncertainty(finding.uncertainty))


def _components(finding: Finding) -> Iterator[Json]:
    probability = _quantity(words.probability(finding), codes.NO_UNITS)
    yield {"code": concept(codes.PROBABILITY), "valueQuantity": probability}
    if finding.presence is Presence.ABSENT:
        return
    side = codes.SIDE.get(finding.side)
    if side is not None:
        yield {"code": concept(codes.LATERALITY), "valueCodeableConcept": concept(side)}
    for measurement in finding.measurements:
        yield {
            "code": _named(measurement),
            "valueQuantity": _quantity(words.amount(measurement), measurement.unit),
        }


def _named(measurement: Measurement) -> Json:
    return concept(measurement.concept) | {"text": measurement.name}


def _quantity(amount: str, unit: CodedConcept) -> Json:
    shown = unit.value.strip("{}") if unit.value != "1" else ""
    written = {"value": Decimal(amount), "unit": shown, "code": unit.value}
    return bare(written | {"system": SYSTEMS[unit.scheme]})
