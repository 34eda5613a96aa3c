"""The DICOM conformance statement (PS3.2) of one configuration."""

from pydicom.charset import python_encoding

from dicom_node.commands.conformance.annexes import annexes
from dicom_node.commands.conformance.document import Document, Section
from dicom_node.commands.conformance.networking import networking, overview
from dicom_node.commands.conformance.security import security
from dicom_node.commands.conformance.web import services
from dicom_node.results.common import NOT_FOR_DIAGNOSIS
from dicom_node.settings.settings import Settings

PRODUCT = "dicom-node"


def cover(settings: Settings, version: str, made_on: str) -> tuple[str, ...]:
    """Say of what and when a statement is."""
    institution = (
        (f"Institution: {settings.node.institution}",) if settings.node.institution else ()
    )
    return (
        f"Product: {PRODUCT} {version}",
        f"Application entity: {settings.node.ae_title}, port {settings.node.port}",
        *institution,
        f"Generated on {made_on} from the running configuration and code",
        NOT_FOR_DIAGNOSIS,
    )


def dicom_statement(settings: Settings, version: str, made_on: str) -> Document:
    """Write the statement; `made_on` is a date for people."""
    return Document(
        "DICOM Conformance Statement",
        cover(settings, version, made_on),
        (
            Section("Overview", (_summary(), overview(settings), services(settings), _media())),
            _introduction(),
            networking(settings),
            Section("Media interchange", ("Not supported.",)),
            _character_sets(),
            security(settings),
            annexes(settings),
        ),
    )


def _summary() -> str:
    return (
        "The node receives chest radiographs from modalities or a PACS, has them read by neural "
        "networks, and sends the findings back as segmentations, structured reports, secondary "
        "captures, presentation states, key object notes or encapsulated PDF."
    )


def _media() -> str:
    return "Media interchange: none. Workflow (MPPS, UPS), printing: none."


def _introduction() -> Section:
    return Section(
        "Introduction",
        (
            "For those who connect the node: administrators of the PACS and RIS, and service "
            "engineers. A statement of conformance does not by itself prove interoperability; try "
            "it, 'dicom-node check' asks every destination what it accepts.",
            "Every list in this statement is taken from what the running software uses. The "
            "references are to the parts of the DICOM standard (PS3.1 to PS3.22).",
            "AE: application entity. IOD: information object definition. SCP: service class "
            "provider. SCU: service class user. SR: structured report. TID: template of PS3.16.",
        ),
    )


def _character_sets() -> Section:
    terms = sorted(term for term in python_encoding if term)
    return Section(
        "Support of character sets",
        (
            "Text of an image is copied to results as it is, with its Specific Character Set "
            "(0008,0005). Where the node must understand it, these defined terms are known, with "
            "code extensions (PS3.3 C.12.1.1.2); without one it is ISO_IR 6. An unknown term is "
            "no reason for refusal. What the node adds itself is English; a character that the "
            "image's character set cannot hold becomes a question mark.",
            f"Defined terms: {', '.join(terms)}.",
        ),
    )
