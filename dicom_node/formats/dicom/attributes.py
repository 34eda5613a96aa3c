"""Attribute values of a data set, whatever its faults.

Values are taken from the bytes as received and never through pydicom's own
conversion, which raises or warns (quoting the value) where a header is wrong.
"""

from collections.abc import Iterable
from io import BytesIO
from math import isfinite
from typing import Literal

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import TEXT_VR_DELIMS, VR

from dicom_node.formats.dicom.parsing import ReadLimitedFile

_KNOWN_VRS = frozenset(vr.value for vr in VR)
_UNDEFINED_LENGTH = 0xFFFFFFFF
LONGEST_TEXT = 10_240
"""Of an LT, the longest VR of those that are read here (PS3.5 table 6.2-1)."""
LARGEST_INTEGER = (1 << 31) - 1
"""Of an IS; what lies beyond is cut to it, as databases would refuse it."""
DEFAULT_REPERTOIRE = "ascii"
READ_AS = "latin_1"
"""What stands in for an unknown character set: no byte is lost."""
PADDING = " \0\r\n"


def text(ds: Dataset, keyword: str) -> str:
    """Give all values of a text attribute as they were written; "" when it is missing.

    Follows SpecificCharacterSet (PS3.3 C.12.1.1.2) with its code extensions. Padding
    (PS3.5 6.2) is dropped, and what goes on without end.
    """
    value = _raw(ds, keyword)
    return (_decoded(value[:LONGEST_TEXT], ds) if isinstance(value, bytes) else value).strip(
        PADDING
    )


def printable(ds: Dataset, keyword: str) -> str:
    """Give a text for rules, rows and logs: what cannot be printed becomes "?"."""
    return clean(text(ds, keyword))


def _decoded(value: bytes, ds: Dataset) -> str:
    if value.isascii() and b"\x1b" not in value:  # the same in every character set
        return value.decode("ascii")
    names = encodings(ds)
    try:
        if len(names) == 1:
            return value.decode(names[0], "replace")
    except LookupError:
        pass  # pydicom's own name of a code extension, which only it can follow
    return decode_bytes(value, list(names), TEXT_VR_DELIMS)


def charset_terms(ds: Dataset) -> tuple[str, ...]:
    """Give the values of SpecificCharacterSet (0008,0005), stripped."""
    value = _raw(ds, "SpecificCharacterSet")
    whole = value.decode(READ_AS) if isinstance(value, bytes) else value
    return tuple(term.strip(PADDING) for term in whole.split("\\"))


def encodings(ds: Dataset) -> tuple[str, ...]:
    """Give Python's names of the data set's character sets, one at least."""
    return tuple(dict.fromkeys(python_encoding.get(term, READ_AS) for term in charset_terms(ds)))


def repertoire(ds: Dataset) -> tuple[str, ...]:
    """Give the encodings in which a text of ours may be written for this source.

    Without a character set only the default repertoire is allowed (PS3.5 6.1.2.2),
    and with an unknown one only that is sure to be read.
    """
    default = ("", "ISO_IR 6", "ISO 2022 IR 6")
    return tuple(
        DEFAULT_REPERTOIRE if term in default else python_encoding.get(term, DEFAULT_REPERTOIRE)
        for term in charset_terms(ds)
    )


def texts(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """Give all values of a multi-valued text attribute."""
    whole = printable(ds, keyword)
    return tuple(value.strip(" ") for value in whole.split("\\")) if whole else ()


def clean(value: str) -> str:
    """Drop the padding (PS3.5 6.2), replace what cannot be printed."""
    stripped = value.strip(PADDING)
    return stripped if stripped.isprintable() else "".join(map(_printable, stripped))


def _printable(character: str) -> str:
    return character if character.isprintable() else "?"


def integer(ds: Dataset, keyword: str, missing: int = 0) -> int:
    """Give an integer, binary (US) or text (IS) as the dictionary has it."""
    element = _element(ds, keyword)
    if isinstance(element, RawDataElement) and dictionary_VR(keyword) == "US":
        value = element.value or b""
        order: Literal["little", "big"] = "little" if element.is_little_endian else "big"
        return int.from_bytes(value[:2], order) if value else missing
    try:
        number = int(text(ds, keyword).split("\\")[0])
        return max(-LARGEST_INTEGER - 1, min(number, LARGEST_INTEGER))
    except ValueError:
        return missing


def decimals(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Give the numbers of a DS attribute; () when any of them is none."""
    try:
        values = tuple(float(value) for value in texts(ds, keyword))
    except ValueError:
        return ()
    return values if all(map(isfinite, values)) else ()


def items(ds: Dataset, keyword: str) -> Iterable[Dataset]:
    """Give a sequence's items; none where it is missing or cannot be parsed."""
    try:
        value = _sequence(ds, keyword)
    except Exception:  # noqa: BLE001 - pydicom raises anything on a damaged sequence
        return ()
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        return ()
    return tuple(item for item in value if isinstance(item, Dataset))


def _sequence(ds: Dataset, keyword: str) -> object:
    """Give a sequence's value; one that is still bytes is parsed within bounds."""
    element = _element(ds, keyword)
    if not isinstance(element, RawDataElement) or element.VR not in (None, "SQ", "UN"):
        return ds[keyword].value if element is not None else ()
    content = element.value or b""
    implicit, little = element.is_implicit_VR, element.is_little_endian
    file = ReadLimitedFile(BytesIO(content)).binary
    return read_sequence(file, implicit, little, len(content), list(charset_terms(ds)))


def odd_elements(ds: Dataset) -> list[BaseTag]:
    """Name the elements whose VR or length breaks PS3.5 6.2 and 7.1.1."""
    # iterating over the data set itself would decode its values
    return [tag for tag in ds.keys() if _is_odd(ds.get_item(tag, keep_deferred=True))]  # noqa: SIM118 - iterating a Dataset would convert its values


def _is_odd(element: DataElement | RawDataElement | None) -> bool:
    if not isinstance(element, RawDataElement):
        return False
    has_odd_length = element.length % 2 == 1 and element.length != _UNDEFINED_LENGTH
    return has_odd_length or (element.VR is not None and element.VR not in _KNOWN_VRS)


def unknown_charset(ds: Dataset) -> bool:
    """Whether SpecificCharacterSet holds a term that is not defined."""
    return any(term not in python_encoding for term in charset_terms(ds))


def _raw(ds: Dataset, keyword: str) -> bytes | str:
    """Give the stored bytes, or the text of a value that was set or converted."""
    element = _element(ds, keyword)
    value = None if element is None else element.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(item) for item in value)
    return str(value)


def _element(ds: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    tag = Tag(keyword)
    # without keep_deferred pydicom raises on an empty element with a damaged VR
    return ds.get_item(tag, keep_deferred=True) if tag in ds else None
