"""Pixels: a stored file to a radiograph that can be read."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.study import Instance, Radiograph, Spacing
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.header import describe, names_spacing, read_to_pixels, spacing
from dicom_node.formats.dicom.parsing import ElementHead
from dicom_node.formats.dicom.pixels.codestream import Codestream
from dicom_node.formats.dicom.pixels.decode import (
    LOSSY,
    MAYBE_LOSSY,
    Patterns,
    codestream_of,
    decode,
    decode_rle,
)
from dicom_node.formats.dicom.pixels.display import display
from dicom_node.formats.dicom.pixels.element import (
    PixelElement,
    encapsulated_bytes,
    native_bytes,
    pixel_element,
)
from dicom_node.formats.dicom.pixels.module import PixelModule, pixel_module

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
LARGEST_GROWTH = 2
SMALL_COMPRESSED = 1 << 20
"""A compressed frame may hold this many bytes, or twice the uncompressed size."""


def read_radiograph(path: Path) -> tuple[Dataset, Radiograph]:
    """Read a stored file as `read_film` does; raises NotAnalysable where it has no image."""
    ds, radiograph = read_film(path)
    if isinstance(radiograph, str):
        raise NotAnalysable(radiograph)
    return ds, radiograph


def read_film(path: Path) -> tuple[Dataset, Radiograph | str]:
    """Read a stored Part 10 file: its header, and the image or why there is none.

    The header comes without Pixel Data, the image as it is displayed. There is none,
    with the reason in words, of pixels that are damaged, cut short, not one grayscale
    frame, or in an encoding that cannot be decoded. Zeroed bytes inside uncompressed
    pixels or in JPEG 2000 (under 1 kB) cannot be found. Raises NotAnalysable when the
    data set cannot be parsed.
    """
    with path.open("rb") as file:
        ds, pixels = read_to_pixels(file)
        try:
            return ds, _radiograph(ds, file, pixels)
        except NotAnalysable as error:
            return ds, str(error)


def _radiograph(ds: Dataset, file: BinaryIO, pixels: ElementHead | None) -> Radiograph:
    instance = _described(ds)
    module = pixel_module(ds, instance)
    syntax = instance.transfer_syntax_uid
    element = pixel_element(file, pixels, syntax, LARGEST_GROWTH * module.length)
    patterns, values, remarks = _stored_pixels(element, syntax, module)
    shown = display(ds, patterns, values, module)
    measured = spacing(ds)
    return Radiograph(
        pixels=shown.pixels,
        ref=instance.ref,
        spacing=measured,
        orientation=instance.orientation,
        view_position=instance.view_position,
        notes=(*_header_notes(ds, instance, measured), *remarks, *shown.notes),
    )


def _described(ds: Dataset) -> Instance:
    try:
        return describe(ds)
    except (OSError, MemoryError, NotAnalysable):
        raise
    except Exception as error:
        # pydicom converts some elements late, and raises anything then
        raise NotAnalysable(f"header cannot be decoded ({type(error).__name__})") from error


def _header_notes(ds: Dataset, instance: Instance, measured: Spacing | None) -> tuple[str, ...]:
    notes = {
        "AP view": instance.view_position == "AP",
        "distances in the detector plane": measured is not None and measured.plane == "detector",
        "no pixel spacing: no measurements in mm": measured is None and not names_spacing(ds),
        "pixel spacing not plausible: no measurements in mm": measured is None
        and names_spacing(ds),
        "burned-in annotation": instance.burned_in,
        "lossy source": text(ds, "LossyImageCompression") == "01"
        or instance.transfer_syntax_uid in LOSSY,
    }
    return tuple(words for words, holds in notes.items() if holds)


def _stored_pixels(
    element: PixelElement, syntax: str, module: PixelModule
) -> tuple[Patterns, NDArray[np.int32], tuple[str, ...]]:
    """Give bit patterns, the value that each stands for, and remarks."""
    if syntax in NATIVE:
        patterns, extra = _native(element, module)
        return patterns, _values(module), ("extra bytes after the pixel data",) * extra
    stream = encapsulated_bytes(element, LARGEST_GROWTH * module.length + SMALL_COMPRESSED)
    if syntax == RLELossless:
        patterns = decode_rle(stream, module.rows, module.columns, module.bits_allocated)
        return patterns, _values(module), ()
    codestream = codestream_of(syntax, stream)
    _refuse_other_image(codestream, module)
    lossy = syntax in MAYBE_LOSSY
    return decode(syntax, codestream), _coded_values(module, codestream, lossy), ()


def _native(element: PixelElement, module: PixelModule) -> tuple[Patterns, bool]:
    swapped_pairs = module.bits_allocated == 8 and element.vr == "OW"
    swapped_pairs = swapped_pairs and not element.little_endian
    odd = module.length % 2 if swapped_pairs else 0
    content, extra = native_bytes(element, module.length + odd)
    shape = (module.rows, module.columns)
    if module.bits_allocated == 16:
        words = np.frombuffer(content, "<u2" if element.little_endian else ">u2")
        return words.astype("<u2", copy=False).reshape(shape), extra
    if swapped_pairs:
        # 8-bit pixels in 16-bit words of big endian order (PS3.5 annex D)
        content = np.frombuffer(content, "<u2").byteswap().tobytes()
    return np.frombuffer(content, np.uint8, module.length).reshape(shape), extra


def _refuse_other_image(codestream: Codestream, module: PixelModule) -> None:
    """Refuse a codestream that is not the header's image, before decoding it."""
    coded, declared = (codestream.rows, codestream.columns), (module.rows, module.columns)
    if coded != declared:
        raise NotAnalysable(
            f"compressed image of {coded[0]} x {coded[1]} "
            f"in a header of {declared[0]} x {declared[1]}"
        )
    if codestream.components != 1:
        raise NotAnalysable("colour image in a grayscale header")
    if not 2 <= codestream.precision <= module.bits_allocated:
        raise NotAnalysable(
            f"compressed image of {codestream.precision} bits, header of {module.bits_allocated}"
        )


def _values(module: PixelModule) -> NDArray[np.int32]:
    """Give the stored value of each bit pattern, dirty high bits masked (PS3.5 8.1.1)."""
    patterns = np.arange(1 << module.bits_allocated, dtype=np.int32)
    shifted = patterns >> (module.high_bit + 1 - module.bits_stored)
    return _read(shifted, module.bits_stored, module.signed)


def _coded_values(module: PixelModule, codestream: Codestream, lossy: bool) -> NDArray[np.int32]:
    """Give the stored value of each decoded sample (PS3.5 8.2).

    Precision and sign of a codestream need not be the header's: the bits count, so
    the header says how to read them. Lossy coding may overshoot the header's range,
    where masking would turn white into black: such values are clipped.
    """
    container = 8 if codestream.precision <= 8 else 16
    bits = min(module.bits_stored, container if codestream.signed else codestream.precision)
    patterns = np.arange(1 << container, dtype=np.int32)
    if not lossy or codestream.signed != module.signed:
        return _read(patterns, bits, module.signed)
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if module.signed else (0, (1 << bits) - 1)
    return np.clip(_read(patterns, container, module.signed), least, most)


def _read(patterns: NDArray[np.int32], bits: int, signed: bool) -> NDArray[np.int32]:
    """Read the low `bits` as unsigned or two's complement."""
    masked = patterns & ((1 << bits) - 1)
    return masked - ((masked >> bits - 1) << bits) if signed else masked
