"""Grayscale transformations of PS3.3 C.11, value by value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.formats.dicom.attributes import decimals, items, text

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table of C.11.1.1: input `first` maps to `entries[0]`."""

    first: int
    entries: Values
    largest: float
    """Of the output: 2 to the power of its bits, less 1."""

    def __call__(self, values: Values) -> Values:
        """Look up; what lies outside takes the first or the last entry."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        output: Values = self.entries[places.astype(np.intp)]
        return output


def lookup_table(item: Dataset, signed_input: bool) -> LookupTable | None:
    """Read a LUT item; None when it is damaged."""
    descriptor = words(item, "LUTDescriptor")
    content, order = _content(item, "LUTData")
    if len(descriptor) != 3 or not content:
        return None
    count = int(descriptor[0]) or 65536  # 0 stands for 65536
    first = int(descriptor[1].astype(np.int16) if signed_input else descriptor[1])
    # 8-bit entries may lie in 8 or in 16 bits: the length says which (C.11.1.1)
    if len(content) >= 2 * count:
        entries = np.frombuffer(content, f"{order}u2", count).astype(np.float64)
    elif len(content) >= count and descriptor[2] <= 8:
        entries = np.frombuffer(content, np.uint8, count).astype(np.float64)
    else:
        return None
    # the third value is often wrong; a table that leaves half its range unused tells
    declared, used = int(descriptor[2]), int(entries.max()).bit_length()
    bits = declared if used == declared else max(used, 8)
    return LookupTable(first, entries, float(2**bits - 1))


def modality(ds: Dataset, values: Values, signed: bool) -> Values | None:
    """Apply the Modality LUT or the rescale (C.11.1); None when it is damaged."""
    for item in items(ds, "ModalityLUTSequence"):
        table = lookup_table(item, signed)
        return None if table is None else table(values)
    slope = (*decimals(ds, "RescaleSlope"), 1.0)[0]
    intercept = (*decimals(ds, "RescaleIntercept"), 0.0)[0]
    if not slope or not np.isfinite(abs(slope) * 65536 + abs(intercept)):
        return None
    return values * slope + intercept


def voi_table(ds: Dataset, values: Values) -> Values | None:
    """Apply the first VOI LUT (C.11.2.1.1), giving 0..1; None without a sound one."""
    for item in items(ds, "VOILUTSequence"):
        table = lookup_table(item, signed_input=bool(values.min() < 0))
        return None if table is None else table(values) / table.largest
    return None


def voi_window(ds: Dataset, values: Values) -> Values | None:
    """Apply the first window (C.11.2.1.2 and .3), giving 0..1; None without one."""
    centers, widths = decimals(ds, "WindowCenter"), decimals(ds, "WindowWidth")
    if not centers or not widths:
        return None
    return window(values, centers[0], widths[0], text(ds, "VOILUTFunction").upper())


def window(values: Values, center: float, width: float, function: str = "") -> Values | None:
    """Map values to 0..1 by a window; None when its width makes no sense."""
    if width <= 0:
        return None
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - center) / width, -500, 500)
        return np.asarray(1 / (1 + np.exp(exponent)), np.float64)
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width < 1:
        return None
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def words(ds: Dataset, keyword: str) -> NDArray[np.uint16]:
    """Give 16-bit values as bit patterns, whether US, SS or still bytes."""
    content, order = _content(ds, keyword)
    return np.frombuffer(content[: len(content) // 2 * 2], f"{order}u2").astype(np.uint16)


def _content(ds: Dataset, keyword: str) -> tuple[bytes, str]:
    """Give an element's bytes and their order, before or after pydicom's conversion."""
    element = _element(ds, keyword)
    if isinstance(element, RawDataElement):
        return element.value or b"", "<" if element.is_little_endian else ">"
    value = None if element is None else element.value
    if value is None:
        return b"", "<"
    if isinstance(value, bytes):
        return value, "<"
    numbers = [value] if isinstance(value, int) else list(value)
    return np.array([int(number) & 0xFFFF for number in numbers], "<u2").tobytes(), "<"


def _element(ds: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    tag = Tag(keyword)
    # without keep_deferred pydicom converts an empty value, and fails on a damaged VR
    return ds.get_item(tag, keep_deferred=True) if tag in ds else None
