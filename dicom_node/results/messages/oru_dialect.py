"""What differs between the receivers of an ORU.

Each [[hl7]] names its version, its segments, its own codes and its extras.
"""

import base64
from datetime import tzinfo

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept
from dicom_node.domain.study import HL7Destination
from dicom_node.formats.hl7 import text
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import pdf

Observation = dict[int, str]
"""The fields of an OBX but its number."""

STRUCTURED = ("2.5", "2.5.1")
"""Versions in which MSH-9 must name the structure (HL7 v2.5 2.15.9.9)."""
OBX_TYPES = {"CWE": "CE"}
"""Data types that table 0125 lacks before version 2.5."""


def message_type(to: HL7Destination) -> str:
    """Give MSH-9: trigger, and from 2.5 on the structure."""
    return "ORU^R01^ORU_R01" if to.version in STRUCTURED else "ORU^R01"


def takes_segment(segment: str, to: HL7Destination) -> bool:
    """Say whether the receiver takes a segment; MSH always."""
    name = segment[:3]
    return name == "MSH" or name in to.segments or (name == "ZDS" and to.zds)


def coded_for(concept: CodedConcept, to: HL7Destination) -> str:
    """Write OBX-3 or OBR-4: the receiver's code first, ours as the alternate."""
    own = to.codes.get(concept.value)
    return text.coded(concept) if own is None else f"{text.coded(own)}^{text.coded(concept)}"


def observation_for(observation: Observation, to: HL7Destination) -> Observation:
    """Put an OBX into the receiver's version."""
    if to.version in STRUCTURED:
        return observation
    kind = observation[2]
    # 2.3.1 wants a sub-id (OBX-4) in every line; 0 is that of no finding
    return {4: "0", **observation, 2: OBX_TYPES.get(kind, kind)}


def study_segment(study_uid: str) -> str:
    """Write ZDS, the study's UID as IHE has it (RAD-4)."""
    return text.segment("ZDS", {1: text.components(study_uid, "100", "Application", "DICOM")})


def page(examined: ExaminedImage, made: tuple[float, str, str, tzinfo | None]) -> Observation:
    """Write the PDF report into an OBX (HL7 v2.5.1 chapter 2A, ED).

    `made` says when (POSIX s), by which AE title, in which institution and zone.
    """
    made_at, ae_title, institution, zone = made
    context = ReportContext(made_at, "", ae_title, institution, zone=zone)
    content = base64.b64encode(pdf.print_page(examined, context)).decode()
    return {
        2: "ED",
        3: text.coded(codes.DIAGNOSTIC_IMAGING_REPORT),
        5: f"^application^pdf^Base64^{content}",
    }
