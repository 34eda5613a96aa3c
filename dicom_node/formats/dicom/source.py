"""Reading a source's header, whatever is wrong with it.

Values are taken from the raw bytes where pydicom has not parsed them yet:
parsing warns of, corrects or drops what a result must carry unchanged.
"""

from datetime import timedelta, timezone

from pydicom.charset import decode_bytes, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

from dicom_node.domain.exchange.orders import ImageKeys, PatientKey
from dicom_node.domain.study import InstanceRef
from dicom_node.formats.dicom import attributes
from dicom_node.formats.dicom.values import tag_of

DEFAULT_REPERTOIRE = "ascii"
READ_AS = "latin_1"
"""What stands in for an unknown character set: no byte is lost."""
LOSSY_SYNTAXES = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Transfer syntaxes that may lose, with LossyImageCompressionMethod (PS3.3 C.7.6.1.1.5.1)."""
ALWAYS_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def raw_text(source: Dataset, keyword: str, encodings: tuple[str, ...] = ("ascii",)) -> str:
    """Give all values of an attribute with a text VR; missing or empty: an empty string."""
    tag = tag_of(keyword)
    if tag not in source:
        return ""
    element = source.get_item(tag)
    value = element.value
    if value is None:
        return ""
    if isinstance(element, RawDataElement) or isinstance(value, bytes):
        text = _decoded(bytes(value), encodings)
    elif element.VM > 1:
        text = "\\".join(str(item) for item in value)
    else:
        text = str(value)
    return text.strip(" \0\r\n")


def _decoded(value: bytes, encodings: tuple[str, ...]) -> str:
    try:
        if len(encodings) == 1:
            return value.decode(encodings[0], "replace")
    except LookupError:
        pass  # pydicom's own name of a code extension, which only it can follow
    return decode_bytes(value, list(encodings), TEXT_VR_DELIMS)


def text(source: Dataset, keyword: str) -> str:
    """Give an attribute's text, decoded by the source's own character set."""
    return raw_text(source, keyword, encodings(source))


def charset_terms(source: Dataset) -> tuple[str, ...]:
    """Give the values of SpecificCharacterSet (0008,0005), stripped."""
    return tuple(term.strip() for term in raw_text(source, "SpecificCharacterSet").split("\\"))


def encodings(source: Dataset) -> tuple[str, ...]:
    """Give Python's names of the source's character sets, one at least."""
    names = [python_encoding.get(term, READ_AS) for term in charset_terms(source)]
    return tuple(dict.fromkeys(names)) or (READ_AS,)


def repertoire(source: Dataset) -> tuple[str, ...]:
    """Give the encodings in which a text of ours may be written for this source.

    Without a character set only the default repertoire is allowed (PS3.5 6.1.2.2),
    and with an unknown one only that is sure to be read.
    """
    terms = charset_terms(source)
    default = ("", "ISO_IR 6", "ISO 2022 IR 6")
    return tuple(
        DEFAULT_REPERTOIRE if term in default or term not in python_encoding else name
        for term, name in ((term, python_encoding.get(term, "")) for term in terms)
    )


def keys_of(source: Dataset) -> ImageKeys:
    """Give what an order system may know the image by."""
    return ImageKeys(
        text(source, "StudyInstanceUID"),
        text(source, "AccessionNumber"),
        text(source, "PlacerOrderNumberImagingServiceRequest"),
        text(source, "FillerOrderNumberImagingServiceRequest"),
        PatientKey(text(source, "PatientID"), text(source, "IssuerOfPatientID")),
    )


def ref_of(source: Dataset) -> InstanceRef:
    """Give the source's own reference."""
    return InstanceRef(
        attributes.text(source, "SOPClassUID"), attributes.text(source, "SOPInstanceUID")
    )


def instance_number(source: Dataset) -> int:
    """Give InstanceNumber, or 1 where it is missing or no number."""
    number = text(source, "InstanceNumber")
    return int(number) if number.isdecimal() and len(number) <= 9 else 1


def utc_offset(source: Dataset) -> timezone | None:
    """Give the source's TimezoneOffsetFromUTC (0008,0201), if it has a valid one."""
    offset = text(source, "TimezoneOffsetFromUTC")
    if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdecimal():
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    if minutes > 14 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def lossy(source: Dataset) -> tuple[str, str] | None:
    """Say how the source was compressed with loss: (method, ratio), or None.

    Either is empty where it is not known. The flag decides; a transfer syntax
    that always loses counts as one, for senders forget the flag.
    """
    syntax = str(source.file_meta.get("TransferSyntaxUID", "")) if _has_meta(source) else ""
    if text(source, "LossyImageCompression") != "01" and syntax not in ALWAYS_LOSSY:
        return None
    method = text(source, "LossyImageCompressionMethod") or LOSSY_SYNTAXES.get(syntax, "")
    return method, text(source, "LossyImageCompressionRatio")


def _has_meta(source: Dataset) -> bool:
    return getattr(source, "file_meta", None) is not None
