"""Writing a result: our attributes and the source's own bytes."""

import struct
from collections.abc import Iterator
from copy import deepcopy
from typing import cast

from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from dicom_node.formats.dicom.attributes import encodings, repertoire
from dicom_node.formats.dicom.values import add, tag_of

PATIENT_AND_STUDY = (
    *("SpecificCharacterSet", "TimezoneOffsetFromUTC"),
    # Patient (PS3.3 C.7.1.1)
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("TypeOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex"),
    *("ReferencedPatientSequence", "OtherPatientIDs", "OtherPatientIDsSequence"),
    *("OtherPatientNames", "EthnicGroup", "PatientComments", "PatientSpeciesDescription"),
    *("PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence"),
    *("BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole"),
    *("ResponsibleOrganization", "QualityControlSubject", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    # Clinical Trial Subject and Study (C.7.1.3, C.7.2.3)
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID"),
    *("ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID"),
    # General Study and Patient Study (C.7.2.1, C.7.2.2)
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID"),
    *("ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName"),
    *("AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription"),
    *("PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "RequestingService"),
    *("ReferencedStudySequence", "ProcedureCodeSequence"),
    *("AdmittingDiagnosesDescription", "PatientAge", "PatientSize", "PatientWeight"),
    *("Occupation", "AdditionalPatientHistory", "AdmissionID", "ServiceEpisodeID"),
    *("IssuerOfAdmissionIDSequence", "ServiceEpisodeDescription", "PatientSexNeutered"),
)
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
"""Written empty where the source lacks them."""
TEXT_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
BROKEN = (
    *(ValueError, LookupError, AttributeError, TypeError, RuntimeError),
    *(OSError, EOFError, struct.error, BytesLengthException),
)
"""What pydicom raises for a sequence that cannot be parsed."""


def part10(ds: Dataset, source: Dataset, also: tuple[str, ...] = ()) -> bytes:
    """Write `ds` as a Part 10 file for the source's patient and study.

    `ds` is changed: it gets the Type 2 attributes, and texts that the source's
    character set cannot hold lose the characters in request. The patient's and
    study's attributes and those named in `also` come from the source, byte for
    byte, but sequences, which are written anew without private attributes.
    """
    _complete(ds)
    allowed = repertoire(source)
    for item in _nested(ds):
        # says that there is nothing to convert, which is slow to find out at every level
        item.set_original_encoding(False, True, default_encoding)
        _keep_to(allowed, item)
    names = list(encodings(source))
    elements: dict[BaseTag, DataElement | RawDataElement] = {e.tag: e for e in ds}
    for keyword in (*PATIENT_AND_STUDY, *also):
        element = _copy(source, tag_of(keyword), names)
        if element is not None:
            elements[element.tag] = element
    buffer = DicomBytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, _file_meta(ds), enforce_standard=True)
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    for tag in sorted(elements):
        write_data_element(buffer, elements[tag], names)
    return buffer.getvalue()


def copied_sequence(source: Dataset, keyword: str) -> RawDataElement | None:
    """Encode a sequence of the source anew; None where it is absent or broken."""
    tag = tag_of(keyword)
    return _sequence(source, tag, list(encodings(source))) if tag in source else None


def _complete(ds: Dataset) -> None:
    for keyword in TYPE_2:
        if keyword not in ds:
            add(ds, **{keyword: None})


def _file_meta(ds: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    return meta


def _copy(source: Dataset, tag: BaseTag, names: list[str]) -> DataElement | RawDataElement | None:
    if tag not in source:
        return None
    vr = dictionary_VR(tag)
    if vr == "SQ":
        return _sequence(source, tag, names)
    element = cast(DataElement | RawDataElement, source.get_item(tag))
    if not isinstance(element, RawDataElement):
        return element
    value = bytes(element.value or b"")
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    return element._replace(VR=vr, value=value, length=len(value))


def _sequence(source: Dataset, tag: BaseTag, names: list[str]) -> RawDataElement | None:
    """Encode a sequence of the source anew; one that is broken is left out."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    try:
        element = deepcopy(source[tag])
        element.is_undefined_length = False
        for item in element.value:
            item.remove_private_tags()
        write_data_element(buffer, element, names)
    except BROKEN:
        return None
    value = buffer.getvalue()[12:]  # tag, VR, reserved bytes and length come before
    return RawDataElement(tag, "SQ", len(value), value, 0, False, True)


def _nested(ds: Dataset) -> Iterator[Dataset]:
    yield ds
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _nested(item)


def _keep_to(allowed: tuple[str, ...], ds: Dataset) -> None:
    """Replace what the character set cannot hold by request marks."""
    for element in ds:
        if element.VR not in TEXT_VRS or element.is_empty:
            continue
        values = element.value if element.VM > 1 else [element.value]
        if all(str(value).isascii() for value in values):
            continue
        kept = ["".join(_kept(character, allowed) for character in str(v)) for v in values]
        element.value = kept if element.VM > 1 else kept[0]


def _kept(character: str, allowed: tuple[str, ...]) -> str:
    for name in allowed:
        try:
            character.encode(name)
        except (UnicodeError, LookupError):
            continue
        return character
    return "?"
