"""DICOM statement: objects, attributes, templates and codes."""

from collections import defaultdict
from collections.abc import Iterator

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_node.commands.conformance import facts
from dicom_node.commands.conformance.document import Section, Table
from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept
from dicom_node.domain.study import NODE_MODEL
from dicom_node.formats.dicom.part10 import PATIENT_AND_STUDY, TYPE_2
from dicom_node.settings.settings import Settings

PRIVATE_PREFIX = "99"
"""Coding schemes of a manufacturer start so (PS3.3 8.2)."""
UID_OF_SCHEME = {
    "DCM": "1.2.840.10008.2.16.4",
    "SCT": "2.16.840.1.113883.6.96",
    "LN": "2.16.840.1.113883.6.1",
    "UCUM": "2.16.840.1.113883.6.8",
    "RFC5646": "2.16.840.1.113883.6.316",
}
"""PS3.16 table 8-1."""
BY_ROWS = (
    (codes.LANGUAGE, "1204"),
    (codes.OBSERVER_TYPE, "1001"),
    (codes.OBSERVER_TYPE, "1002"),
    (codes.DEVICE_UID, "1004"),
    (codes.IMAGE_LIBRARY, "1600"),
    (codes.IMAGE_LIBRARY_GROUP, "1601"),
    (codes.ROWS, "1602"),
    (codes.IMAGE_VIEW, "1603"),
    (codes.ALGORITHM_NAME, "4019"),
)
"""Templates that no identifier marks, each by a code that only its rows have."""


def annexes(settings: Settings) -> Section:
    """Describe what is written and what is looked at."""
    return Section(
        "Annexes",
        (
            Section("IOD contents", tuple(_objects(settings))),
            Section("Usage of attributes of received objects", tuple(_usage())),
            Section("Attribute mapping", tuple(_mapping())),
            _private(),
            _terminology(settings),
            Section(
                "Grayscale image consistency",
                (
                    "Presentation states have the presentation LUT shape IDENTITY or INVERSE, so "
                    "a display that follows PS3.14 shows the image as before. The node has no "
                    "display of its own.",
                ),
            ),
            Section(
                "Standard extended, specialized and private SOP classes",
                ("None. There are no private transfer syntaxes.",),
            ),
        ),
    )


def _objects(settings: Settings) -> Iterator[str | Table]:
    made = facts.results(settings)
    if not made:
        yield "No route of this configuration sends results."
        return
    yield (
        "The attributes that results of a made-up finding have; which of them appear depends on "
        "the image. Those of patient and study come from the image, see attribute mapping. All "
        "text is in the image's own character set."
    )
    yield Table(
        ("Output", "SOP class UID", "Modality", "Series description", "Templates"),
        tuple(
            (
                str(one.form),
                one.form.sop_class_uid,
                str(one.ds.get("Modality", "")),
                str(one.ds.get("SeriesDescription", "")),
                ", ".join(f"TID {name}" for name in facts.templates(one.ds)) or "-",
            )
            for one in made
        ),
        "Created objects",
    )
    for one in made:
        title = f"{one.ds.SOPClassUID.name} ({one.form})"
        yield Table(("Attribute", "Tag", "VR", "Example"), tuple(_attributes(one.ds)), title)


def _attributes(ds: Dataset) -> Iterator[tuple[str, str, str, str]]:
    copied = {tag_for_keyword(keyword) for keyword in PATIENT_AND_STUDY}
    for element in ds:
        if element.tag in copied or element.tag.is_private:
            continue
        where = f"({element.tag.group:04X},{element.tag.element:04X})"
        yield element.name, where, element.VR, _shown(element.VR, element.value)


def _shown(vr: str, value: object) -> str:
    if vr == "SQ":
        return f"{len(value)} item(s)" if hasattr(value, "__len__") else ""
    if vr in ("OB", "OW", "UN"):
        return "binary"
    values = list(value) if isinstance(value, MultiValue) else [value]
    text = "\\".join(str(one) for one in values if one is not None)
    return text if len(text) <= 64 else text[:61] + "..."


def _usage() -> Iterator[str | Table]:
    yield (
        "Routes, suitability, side and millimetres depend on these attributes; none of them must "
        "be there but the four UIDs. Pixels are shown as PS3.4 N.2 says: modality LUT, then VOI "
        "LUT or window, MONOCHROME1 inverted."
    )
    rows = tuple(_row(keyword) for keyword in facts.looked_at())
    yield Table(("Attribute", "Tag"), rows, "Attributes that are looked at")


def _mapping() -> Iterator[str | Table]:
    yield (
        "Copied byte for byte from the image to each of its results; sequences without their "
        "private attributes. Those of type 2 are written empty where the image lacks them."
    )
    rows = tuple(
        (*_row(keyword), "2: empty if missing" if keyword in TYPE_2 else "if present")
        for keyword in PATIENT_AND_STUDY
    )
    yield Table(("Attribute", "Tag", "Written"), rows)


def _row(keyword: str) -> tuple[str, str]:
    tag = tag_for_keyword(keyword) or 0
    return dictionary_description(tag), f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _private() -> Section:
    return Section(
        "Private attributes",
        (
            "Results hold no private attributes, and those of the image are not copied to them. "
            f"Results are told by the Manufacturer's Model Name {NODE_MODEL!r} of their equipment "
            "or contributing equipment; the node never reads its own results.",
        ),
    )


def _terminology(settings: Settings) -> Section:
    used = {code for one in facts.results(settings) for code in facts.coded_in(one.ds)}
    by_scheme: dict[str, list[CodedConcept]] = defaultdict(list)
    for concept in codes.CONCEPTS:
        by_scheme[concept.scheme].append(concept)
    tables = tuple(
        Table(
            ("Code value", "Code meaning", "In the example"),
            tuple(
                (one.value, one.meaning, "yes" if (one.value, one.scheme) in used else "")
                for one in concepts
            ),
            _scheme_title(scheme),
        )
        for scheme, concepts in sorted(by_scheme.items())
    )
    return Section(
        "Coded terminology and templates",
        (
            Table(
                ("Output", "Template", "Used as"),
                tuple(_templates(settings)),
                "Templates (PS3.16)",
            ),
            "Every code that the node can write in its objects and messages, by coding scheme. "
            "Context groups: CID 240 (presence), CID 244 (laterality).",
            *tables,
        ),
    )


def _scheme_title(scheme: str) -> str:
    if scheme.startswith(PRIVATE_PREFIX):
        return f"{scheme}: private codes, defined here by their meaning"
    return f"{scheme} ({UID_OF_SCHEME[scheme]})"


def _templates(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for one in facts.results(settings):
        for place, name in enumerate(facts.templates(one.ds)):
            yield str(one.form), f"TID {name}", "root" if place == 0 else "included"
        held = facts.coded_in(one.ds)
        for concept, name in BY_ROWS if facts.templates(one.ds) else ():
            if (concept.value, concept.scheme) in held:
                yield str(one.form), f"TID {name}", "included, by its rows"
