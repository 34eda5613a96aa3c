"""PNG and JPEG files as Secondary Captures."""

import hashlib
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from dicom_node.domain.admission import LARGEST_PIXELS, LARGEST_SIDE, SECONDARY_CAPTURE
from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.work import derive_uid
from dicom_node.formats.dicom.pixels import codestream as pixel_codestream
from dicom_node.formats.dicom.pixels import decode

FORMATS = ("PNG", "JPEG")
COLOUR_TOLERANCE = 2
"""Grey levels by which the channels of a grey picture may differ (JPEG rounding)."""
WIDE_GRAY_MODES = ("I;16", "I;16B", "I")
_GROUPS_AT_START = (b"\x02\x00", b"\x08\x00", b"\x00\x08")

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def is_dicom(path: Path) -> bool:
    """Whether the file starts as DICOM does, with or without the preamble."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or start[:2] in _GROUPS_AT_START


def secondary_capture(path: Path) -> Dataset:
    """Make a Secondary Capture (PS3.3 A.8.1) of a PNG or JPEG file.

    The same content always gives the same UIDs. Nothing is known of patient, side
    or spacing, so nothing is said. Modality CR and BodyPartExamined CHEST are the
    caller's claim: who hands in a picture wants it read as a chest radiograph.
    Raises NotAnalysable for colour, for other formats and for damaged files.
    """
    content = path.read_bytes()
    name, pixels = _read(content)
    ds = _describe(hashlib.sha256(content).hexdigest())
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    if name == "JPEG":
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionRatio = f"{pixels.nbytes / len(content):.2f}"
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    else:
        ds.LossyImageCompression = "00"
    stored = pixels.tobytes()
    ds.add_new(
        "PixelData", "OB" if pixels.itemsize == 1 else "OW", stored + b"\0" * (len(stored) % 2)
    )
    return ds


def _describe(digest: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.SOPInstanceUID = derive_uid("image file", digest, "instance")
    ds.StudyInstanceUID = derive_uid("image file", digest, "study")
    ds.SeriesInstanceUID = derive_uid("image file", digest, "series")
    for keyword in (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyID",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientOrientation",
    ):
        setattr(ds, keyword, "")  # Type 2: there, but not known
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ConversionType = "WSD"
    ds.Modality = "CR"
    ds.BodyPartExamined = "CHEST"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.SeriesDescription = "Image file without DICOM header"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _read(content: bytes) -> tuple[str, Pixels]:
    """Give the format and the gray values, upright."""
    try:
        with warnings.catch_warnings():
            # our own limit below is the one that counts
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                if max(image.size) > LARGEST_SIDE or image.width * image.height > LARGEST_PIXELS:
                    raise NotAnalysable(f"image of {image.height} x {image.width} is too large")
                name = str(image.format)
                pixels = _gray(ImageOps.exif_transpose(image))
    except (NotAnalysable, MemoryError):
        raise
    except Exception as error:
        # Pillow raises anything, even SyntaxError, on damaged files
        raise NotAnalysable("not a readable PNG or JPEG file") from error
    if name == "JPEG":
        _refuse_repaired(content)
    return name, pixels


def _gray(image: Image.Image) -> Pixels:
    if image.mode in ("L", "LA"):
        narrow: NDArray[np.uint8] = np.asarray(image.getchannel(0), np.uint8)
        return narrow
    if image.mode in WIDE_GRAY_MODES:
        return np.clip(np.asarray(image, np.int32), 0, 65535).astype(np.uint16)
    if image.mode not in ("RGB", "RGBA", "P"):
        raise NotAnalysable(f"image of mode {image.mode} is not a grayscale radiograph")
    channels = np.asarray(image.convert("RGB"))
    spread = channels.max(axis=2) - channels.min(axis=2)
    if spread.max() > COLOUR_TOLERANCE:
        raise NotAnalysable("colour image")
    gray: NDArray[np.uint8] = np.ascontiguousarray(channels[:, :, 1])
    return gray


def _refuse_repaired(content: bytes) -> None:
    """Refuse a gray JPEG with damage that Pillow fills up without a word."""
    end = content.rfind(pixel_codestream.END) + len(pixel_codestream.END)
    codestream = pixel_codestream.jpeg(content[:end])
    if codestream.components == 1 and codestream.precision == 8:
        decode.decode(JPEGBaseline8Bit, codestream)
