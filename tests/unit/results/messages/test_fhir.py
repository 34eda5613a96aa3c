"""The resources of a reading: what they say, and that the R4 schema takes them."""

import json
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.destinations import FhirDestination
from dicom_node.domain.exchange.orders import OrderNumber, Patient, PatientKey, Registered
from dicom_node.domain.findings import Findings, Presence, Side
from dicom_node.results.common import ExaminedImage
from dicom_node.results.example import example
from dicom_node.results.messages import fhir

EMR = FhirDestination("emr", "http://localhost/fhir")
CONTEXT = fhir.FhirContext(1_700_000_000.0, EMR, "General Hospital", UTC)
SOURCE, RADIOGRAPH, FINDINGS = example()


def source(**changes: object) -> Dataset:
    ds = Dataset()
    ds.update(SOURCE)
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def resources(
    ds: Dataset = SOURCE,
    findings: tuple[Findings, ...] = FINDINGS,
    context: fhir.FhirContext = CONTEXT,
) -> list[dict[str, Any]]:
    """Build, let the library's schema judge, and give the resources by hand."""
    made = fhir.build(ExaminedImage(ds, RADIOGRAPH, findings), context)
    assert made is not None
    assert made.kind == "fhir"
    bundle = Bundle.model_validate_json(made.content)
    assert (
        fhir.judge(made.content) == f"valid FHIR R4: transaction of {len(bundle.entry)} resources"
    )
    return [entry["resource"] for entry in json.loads(made.content)["entry"]]


def code(concept: dict[str, Any]) -> tuple[str, str]:
    (coding,) = concept["coding"]
    return coding["system"], coding["code"]


def test_the_report_is_preliminary_radiology_of_the_study_and_patient() -> None:
    *observations, report = resources(source(PatientName="Muster^Anna=X", PatientID="P 7"))
    assert report["resourceType"] == "DiagnosticReport"
    assert report["status"] == "preliminary"
    assert code(report["category"][0]) == ("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")
    assert code(report["code"]) == ("http://loinc.org", "18748-4")
    assert report["subject"]["identifier"]["value"] == "P 7"
    assert report["subject"]["display"] == "Muster Anna"
    study = report["imagingStudy"][0]["identifier"]
    assert study == {
        "system": "urn:dicom:uid",
        "value": f"urn:oid:{SOURCE.StudyInstanceUID}",
    }
    assert report["issued"] == "2023-11-14T22:13:20Z"
    assert report["performer"] == [{"display": "General Hospital"}]
    assert len(report["result"]) == len(observations)
    present = [
        f.code.value for one in FINDINGS for f in one.findings if f.presence is Presence.PRESENT
    ]
    assert [code(one)[1] for one in report["conclusionCode"]] == present
    said = report["conclusion"].split("\n")
    assert said[0].startswith("AI: pneumothorax suspected, right")
    assert said[-1] == "AI - NOT FOR DIAGNOSTIC USE"


def test_each_finding_is_an_observation_with_its_numbers() -> None:
    first, *others, _ = resources()
    assert [one["resourceType"] for one in others] == ["Observation"] * len(others)
    assert code(first["code"]) == ("http://snomed.info/sct", "36118008")
    assert code(first["valueCodeableConcept"])[1] == "52101004"
    assert code(first["interpretation"][0])[1] == "AA"
    assert (code(first["bodySite"])[1], first["bodySite"]["text"]) == ("3120008", "Pleura, right")
    quantities = {
        code(one["code"])[1]: one["valueQuantity"]
        for one in first["component"]
        if "valueQuantity" in one
    }
    assert quantities["122157"]["value"] == pytest.approx(0.93)
    assert (quantities["42798000"]["code"], quantities["121206"]["code"]) == ("mm2", "mm")
    assert {one["system"] for one in quantities.values()} == {"http://unitsofmeasure.org"}
    (device,) = first["contained"]
    assert first["device"] == {"reference": f"#{device['id']}"}
    assert device["deviceName"][0]["name"] == FINDINGS[0].algorithm.name
    assert device["version"] == [{"value": FINDINGS[0].algorithm.version}]


@pytest.mark.parametrize(
    ("presence", "urgent", "flag"),
    [
        (Presence.PRESENT, True, "AA"),
        (Presence.PRESENT, False, "A"),
        (Presence.ABSENT, False, "N"),
        (Presence.UNDETERMINED, False, "IND"),
    ],
)
def test_the_flag_follows_presence_and_urgency(presence: Presence, urgent: bool, flag: str) -> None:
    one = FINDINGS[0]
    finding = replace(one.findings[0], presence=presence, urgent=urgent)
    observation, report = resources(findings=(replace(one, findings=(finding,)),))
    assert code(observation["interpretation"][0])[1] == flag
    measured = [c for c in observation["component"] if code(c["code"])[1] == "42798000"]
    assert bool(measured) == (presence is not Presence.ABSENT)
    assert ("conclusionCode" in report) == (presence is Presence.PRESENT)


def test_a_side_that_is_not_known_is_left_out() -> None:
    one = FINDINGS[0]
    finding = replace(one.findings[0], side=Side.UNDETERMINED)
    observation, _ = resources(findings=(replace(one, findings=(finding,)),))
    assert observation["bodySite"]["text"] == "Pleura"
    assert "272741003" not in [code(c["code"])[1] for c in observation["component"]]


def test_a_repeat_is_the_same_and_another_model_is_not() -> None:
    first, later = (
        fhir.build(ExaminedImage(SOURCE, RADIOGRAPH, FINDINGS), replace(CONTEXT, made_at=made_at))
        for made_at in (1.0, 2.0)
    )
    assert first is not None
    assert later is not None
    assert first.sop_instance_uid == later.sop_instance_uid
    creates = [
        [entry["request"]["ifNoneExist"] for entry in json.loads(one.content)["entry"]]
        for one in (first, later)
    ]
    assert creates[0] == creates[1]
    assert len(set(creates[0])) == len(creates[0])
    newer = replace(FINDINGS[0], algorithm=replace(FINDINGS[0].algorithm, version="9"))
    other = fhir.build(ExaminedImage(SOURCE, RADIOGRAPH, (newer,)), CONTEXT)
    assert other is not None
    assert other.sop_instance_uid != first.sop_instance_uid


def identifiers(*findings: Findings, **changes: Any) -> list[str]:  # noqa: ANN401 - of the context
    made = resources(findings=findings, context=replace(CONTEXT, **changes))
    return [one["identifier"][0]["value"] for one in made]


def test_what_a_message_is_about_has_its_identifiers_for_good() -> None:
    first, second = FINDINGS[:2]
    again = replace(first, algorithm=replace(first.algorithm, version="9", model_sha256="9" * 64))
    plain = identifiers(first)
    assert identifiers(again, corrected=True) == plain
    assert set(identifiers(first, second)).isdisjoint(plain)  # another set of pipelines
    assert set(identifiers(first, route="ward")).isdisjoint(plain)
    twice = replace(first, findings=first.findings * 2)
    assert len(set(identifiers(twice))) == 2 * len(first.findings) + 1


def test_a_correction_updates_what_is_there() -> None:
    made = fhir.build(ExaminedImage(SOURCE, RADIOGRAPH, FINDINGS), replace(CONTEXT, corrected=True))
    assert made is not None
    for entry in json.loads(made.content)["entry"]:
        kind, first = entry["resource"]["resourceType"], entry["resource"]["identifier"][0]
        assert entry["request"] == {
            "method": "PUT",
            "url": f"{kind}?identifier={first['system']}|{first['value']}",
        }


def test_the_order_system_goes_before_the_image() -> None:
    patient = Patient(PatientKey("P9", "HOSP"), "Smith^Ann")
    known = Registered(OrderNumber("PL1", "RIS"), OrderNumber(), patient)
    to = replace(EMR, patient_system="urn:oid:1.2.3")
    context = replace(CONTEXT, known=known, destination=to)
    *_, report = resources(source(AccessionNumber="ACC1"), context=context)
    subject, (placer, accession) = report["subject"], report["basedOn"]
    assert (subject["identifier"]["value"], subject["identifier"]["system"]) == (
        "P9",
        "urn:oid:1.2.3",
    )
    assert (subject["identifier"]["assigner"]["display"], subject["display"]) == (
        "HOSP",
        "Smith Ann",
    )
    assert (code(placer["identifier"]["type"])[1], placer["identifier"]["value"]) == ("PLAC", "PL1")
    assert placer["identifier"]["assigner"] == {"display": "RIS"}
    assert (code(accession["identifier"]["type"])[1], accession["identifier"]["value"]) == (
        "ACSN",
        "ACC1",
    )


def test_a_correction_says_so() -> None:
    assert {one["status"] for one in resources(context=replace(CONTEXT, corrected=True))} == {
        "corrected"
    }


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"AcquisitionDate": "20240102", "AcquisitionTime": "101112.5"}, "2024-01-02"),
        (
            {
                "AcquisitionDate": "20240102",
                "AcquisitionTime": "101112.5",
                "TimezoneOffsetFromUTC": "+0130",
            },
            "2024-01-02T10:11:12+01:30",
        ),
        ({"AcquisitionDate": "1993.02.24", "AcquisitionTime": "10:11"}, "1993-02-24"),
        ({"AcquisitionDate": "20240231", "StudyDate": "20240103"}, "2024-01-03"),
        (
            {
                "AcquisitionDate": "20240102",
                "TimezoneOffsetFromUTC": "+0100",
                "AcquisitionTime": "x",
            },
            "2024-01-02",
        ),
        ({}, None),
    ],
)
def test_the_time_is_as_exact_as_the_images(changes: dict[str, str], taken: str | None) -> None:
    ds = source()
    del ds.StudyDate
    for keyword, value in changes.items():  # as they were read: pydicom would refuse some
        tag, content = Tag(keyword), value.encode()
        vr = dictionary_VR(tag)
        ds[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)
    assert resources(ds)[0].get("effectiveDateTime") == taken


def test_without_patient_or_reading_nothing_is_said_unless_the_receiver_takes_it() -> None:
    nobody = source(PatientID="", PatientName="")
    assert fhir.build(ExaminedImage(nobody, RADIOGRAPH, FINDINGS), CONTEXT) is None
    taking = replace(CONTEXT, destination=replace(EMR, allow_empty_patient_id=True))
    assert resources(nobody, context=taking)[-1]["subject"] == {"type": "Patient"}
    declined = replace(FINDINGS[0], findings=(), not_analysed="image is blank")
    assert fhir.build(ExaminedImage(SOURCE, None, (declined,)), CONTEXT) is None


@pytest.mark.parametrize(
    "odd", ["  ", "a\tb", "Ünïcode=山田^太郎", "x" * 70, "<b>&amp;</b>", "^^^"]
)
def test_odd_text_of_the_header_is_still_valid(odd: str) -> None:
    ds = source(PatientName=odd, PatientID=odd.strip() or "P", AccessionNumber=odd[:16])
    ds.SpecificCharacterSet = "ISO_IR 192"
    assert resources(ds)[-1]["resourceType"] == "DiagnosticReport"


def test_what_is_not_valid_is_said() -> None:
    with pytest.raises(GiveUp, match="not valid FHIR R4"):
        fhir.judge(b'{"resourceType": "Bundle", "type": 3}')
