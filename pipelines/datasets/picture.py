"""Pixels and header of an image file: DICOM, PNG or JPEG."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.record import Mask
from pipelines.datasets.rle import decode

DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = (*DICOM_SUFFIXES, ".png", ".jpg", ".jpeg")
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says beside its pixels; empty where it says nothing."""

    patient_id: str
    view: str
    age: str
    sex: str
    rows: int
    columns: int


def find_images(folder: Path) -> dict[str, Path]:
    """Index the image files below a folder by their name without suffix."""
    return {
        path.stem: path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES
    }


def read_header(path: Path) -> Header:
    """Read a file's header; a picture file has its size only."""
    if path.suffix.lower() not in DICOM_SUFFIXES:
        with Image.open(path) as picture:
            return Header("", "", "", "", picture.height, picture.width)
    ds = _dataset(path, stop_before_pixels=True)
    return Header(
        patient_id=str(ds.get("PatientID", "")),
        view=str(ds.get("ViewPosition", "")),
        age=str(ds.get("PatientAge", "")),
        sex=str(ds.get("PatientSex", "")),
        rows=int(ds.get("Rows", 0)),
        columns=int(ds.get("Columns", 0)),
    )


def open_grey(path: Path) -> NDArray[np.float32]:
    """Open an image as (rows, columns) in 0..1.

    A DICOM file goes through its modality and VOI look-up (PS3.3 C.11.1, C.11.2);
    MONOCHROME1 is turned about, so that bone is bright everywhere.
    """
    if path.suffix.lower() in DICOM_SUFFIXES:
        return _open_dicom(path)
    with Image.open(path) as picture:
        if picture.mode.startswith("I"):  # 16 bits: "L" would clip them
            deep = np.asarray(picture, np.float32)
            return deep / np.float32(max(float(deep.max()), 1.0))
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255)


def _open_dicom(path: Path) -> NDArray[np.float32]:
    ds = _dataset(path)
    try:
        stored = ds.pixel_array
    except (AttributeError, RuntimeError, ValueError, NotImplementedError) as error:
        raise BadSettings(f"{path}: its pixels cannot be decoded ({error})") from error
    if stored.ndim != 2:
        raise BadSettings(f"{path}: {stored.ndim} dimensions; one grey frame is wanted")
    pixels = np.asarray(apply_voi_lut(apply_modality_lut(stored, ds), ds), np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    shares = (pixels - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return np.float32(1) - shares if ds.PhotometricInterpretation == "MONOCHROME1" else shares


def open_mask(mask: Mask) -> NDArray[np.bool_]:
    """Open a mask: SIIM-ACR's runs, a picture, or a DICOM Segmentation's frames together."""
    if not isinstance(mask, Path):
        return decode(mask)
    if mask.suffix.lower() in DICOM_SUFFIXES:
        ds = _dataset(mask)
        if ds.get("SOPClassUID") != SEGMENTATION:
            raise BadSettings(f"{mask}: not a DICOM Segmentation; give one, or a PNG of the mask")
        frames = np.asarray(ds.pixel_array)
        return np.asarray(frames.reshape(-1, *frames.shape[-2:]).max(axis=0) > 0, np.bool_)
    with Image.open(mask) as picture:
        return np.asarray(np.asarray(picture.convert("L")) > 127, np.bool_)


def small_mask(mask: Mask, size: int) -> NDArray[np.bool_]:
    """Open a mask as (size, size)."""
    whole = Image.fromarray(open_mask(mask).astype(np.uint8) * 255)
    return np.asarray(
        np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR)) > 127, np.bool_
    )


def _dataset(path: Path, stop_before_pixels: bool = False) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise BadSettings(f"{path}: no readable DICOM file ({error})") from error
