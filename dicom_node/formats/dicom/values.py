"""Data sets from keywords, without guessing or validating."""

from datetime import datetime

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dicom_node.domain.findings import CodedConcept

IGNORE = 0
"""pydicom's validation mode: a sender's malformed UID is copied, not judged."""
LONG_STRING = 64
"""Characters of an LO value (PS3.5 6.2)."""


def tag_of(keyword: str) -> BaseTag:
    """Give the tag of a keyword of PS3.6."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return BaseTag(tag)


def add(ds: Dataset, **attributes: object) -> Dataset:
    """Set attributes by keyword, replacing what is there; gives `ds` back.

    A value of None writes an empty (Type 2) attribute; a Dataset or a list of
    them becomes a sequence.
    """
    for keyword, value in attributes.items():
        tag = tag_of(keyword)
        items = [value] if isinstance(value, Dataset) else value
        vr = dictionary_VR(tag)[:2]  # "OB or OW", "US or SS": the first is right for us
        ds.add(DataElement(tag, vr, items, validation_mode=IGNORE))
    return ds


def item(**attributes: object) -> Dataset:
    """Make a sequence item, or a whole data set, from keywords."""
    return add(Dataset(), **attributes)


def coded(concept: CodedConcept) -> Dataset:
    """Write a concept as the item of a code sequence (PS3.3 8.8)."""
    from highdicom.sr import CodedConcept as CodeItem  # only who writes results needs it

    written: Dataset = CodeItem(concept.value, concept.scheme, clipped(concept.meaning))
    return written


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Write a SOP instance reference (PS3.3 10.8)."""
    return item(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)


def clipped(text: str, length: int = LONG_STRING) -> str:
    """Make one value of `text`: no backslash, no control characters, not too long."""
    shown = "".join(c if c.isprintable() and c != "\\" else " " for c in text)
    return shown.strip()[:length].rstrip()


def decimal(value: float) -> str:
    """Write a number as a DS value: at most 16 characters (PS3.5 6.2)."""
    text = f"{value:.10g}"
    return text if len(text) <= 16 else f"{value:.8g}"


def da(moment: datetime) -> str:
    """Write a date (VR DA)."""
    return moment.strftime("%Y%m%d")


def tm(moment: datetime) -> str:
    """Write a time (VR TM)."""
    return moment.strftime("%H%M%S.%f")
