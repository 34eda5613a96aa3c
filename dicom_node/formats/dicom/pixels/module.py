"""The Image Pixel Module: what a header says about its pixels."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.domain.admission import unreadable_size
from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.study import Instance
from dicom_node.formats.dicom.attributes import integer

FEWEST_BITS = 8
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True, slots=True)
class PixelModule:
    """Size and encoding of one grayscale frame (PS3.3 C.7.6.3, PS3.5 8.1.1)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def length(self) -> int:
        """Bytes of the frame when it is not compressed."""
        return self.rows * self.columns * self.bits_allocated // 8


def pixel_module(ds: Dataset, instance: Instance) -> PixelModule:
    """Check the header's statements before anything is allocated.

    Raises NotAnalysable for what is not one grayscale frame of a sensible size.
    """
    photometric = instance.photometric.upper()
    reason = unreadable_size(instance) or _not_one_grayscale_frame(instance, photometric)
    if reason is not None:
        raise NotAnalysable(reason)
    allocated, stored = integer(ds, "BitsAllocated"), instance.bits_stored
    high_bit = integer(ds, "HighBit", missing=stored - 1)
    if allocated not in (8, 16):
        raise NotAnalysable(f"{allocated} bits allocated per pixel, not 8 or 16")
    if not FEWEST_BITS <= stored <= high_bit + 1 <= allocated:
        raise NotAnalysable(
            f"{stored} bits stored up to bit {high_bit} of {allocated} cannot be read"
        )
    signed = integer(ds, "PixelRepresentation") == 1
    return PixelModule(instance.rows, instance.columns, allocated, stored, high_bit, signed)


def _not_one_grayscale_frame(instance: Instance, photometric: str) -> str | None:
    if instance.frames > 1:
        return "multi-frame image"
    if instance.samples_per_pixel != 1 or photometric == "PALETTE COLOR":
        return "colour image"
    if photometric not in MONOCHROME:
        # without it nothing says whether air is dark or bright (C.7.6.3.1.2)
        return f"photometric interpretation {photometric or 'missing'}"
    return None
