"""A small data set as SIIM published its own."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

Grey = NDArray[np.uint8]


ROWS, COLUMNS = 40, 30


def write_dicom(path: Path, pixels: Grey, patient: str, **elements: str) -> None:
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.PatientID, ds.PatientSex, ds.PatientAge = patient, "F", "051Y"
    ds.ViewPosition = "PA"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(ds, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def grey(seed: int = 0, rows: int = ROWS, columns: int = COLUMNS) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)


def relative_runs(mask: NDArray[np.bool_]) -> str:
    """Encode pixel by pixel, down the columns: skipped, length, skipped, length."""
    words, skipped, length = [], 0, 0
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column]:
                length += 1
            elif length:
                words += [skipped, length]
                skipped, length = 1, 0
            else:
                skipped += 1
    return " ".join(map(str, [*words, skipped, length] if length else words))


@pytest.fixture
def siim(tmp_path: Path) -> Path:
    mask = np.zeros((ROWS, COLUMNS), np.bool_)
    mask[5:15, 2:8] = True
    lines = ["ImageId, EncodedPixels", f"a, {relative_runs(mask)}", "b, -1", "gone, -1"]
    (tmp_path / "train-rle.csv").write_text("\n".join(lines) + "\n")
    for name in "ab":
        write_dicom(tmp_path / "dicom" / name / f"{name}.dcm", grey(), f"P{name}")
    return tmp_path


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey()).save(path)
