"""Variants of one real chest film: other classes, headers, sizes, codings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SPACING_MM = 0.3

Pixels = NDArray[np.uint16]
Changes = Mapping[str, object]


def as_is(pixels: Pixels) -> Pixels:
    return pixels


def resized(width: int, height: int) -> Callable[[Pixels], Pixels]:
    """Cut to the aspect, then scale, as another detector would have it."""

    def change(pixels: Pixels) -> Pixels:
        rows, columns = pixels.shape
        cut_rows = min(rows, round(columns * height / width))
        cut_columns = min(columns, round(rows * width / height))
        top, left = (rows - cut_rows) // 8, (columns - cut_columns) // 2
        part = pixels[top : top + cut_rows, left : left + cut_columns]
        grey = Image.fromarray(part.astype(np.float32)).resize((width, height))
        scaled: Pixels = np.clip(np.asarray(grey), 0, 4095).astype(np.uint16)
        return scaled

    return change


@dataclass(frozen=True)
class Variant:
    """What differs from the plain CR; None takes an attribute away."""

    changes: Changes
    pixels: Callable[[Pixels], Pixels] = as_is
    jpeg: bool = False


CHEST = Dataset()
CHEST.CodeValue, CHEST.CodingSchemeDesignator, CHEST.CodeMeaning = "51185008", "SCT", "Chest"
DX_HEADER: Changes = {
    "SOPClassUID": DX,
    "Modality": "DX",
    "PresentationIntentType": "FOR PRESENTATION",
    "PixelIntensityRelationship": "LOG",
    "PixelIntensityRelationshipSign": -1,
    "ImagerPixelSpacing": [SPACING_MM, SPACING_MM],
    "PatientOrientation": ["L", "F"],
    "ImageLaterality": "U",
    "RescaleSlope": 1,
    "RescaleIntercept": 0,
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
    "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00",
    "ImageType": ["DERIVED", "PRIMARY"],
    "WindowCenter": 2048,
    "WindowWidth": 4096,
    "DetectorType": "DIRECT",
    "PositionerType": "NONE",
    "AcquisitionContextSequence": [],
    "AnatomicRegionSequence": [CHEST],
}
LOSSY: Changes = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": 12,
    "LossyImageCompressionMethod": "ISO_10918_1",
}
VARIANTS: dict[str, Variant] = {
    "cr": Variant({}),
    "dx": Variant(DX_HEADER),
    "monochrome1": Variant(
        {"PhotometricInterpretation": "MONOCHROME1"}, lambda pixels: np.uint16(4095) - pixels
    ),
    "odd": Variant({}, resized(1021, 1019)),
    "small": Variant({}, resized(401, 399)),
    "large": Variant({}, resized(3520, 4300)),
    "mirrored": Variant({"PatientOrientation": ["R", "F"]}, lambda pixels: pixels[:, ::-1].copy()),
    "no side": Variant({"PatientOrientation": ["P", "F"]}),
    "no orientation": Variant({"PatientOrientation": None}),
    "no spacing": Variant({"PixelSpacing": None}),
    "magnified": Variant(
        {
            "PixelSpacing": None,
            "ImagerPixelSpacing": [SPACING_MM, SPACING_MM],
            "EstimatedRadiographicMagnificationFactor": 1.1,
        }
    ),
    "utf-8": Variant({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Анна=王^小东"}),
    "gb18030": Variant({"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"}),
    "japanese": Variant(
        {
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        }
    ),
    "nobody": Variant({"PatientID": "", "PatientName": ""}),
    "all at once": Variant(
        {
            "PatientOrientation": ["R", "F"],
            "PixelSpacing": None,
            "PhotometricInterpretation": "MONOCHROME1",
        },
        lambda pixels: np.uint16(4095) - resized(1021, 1019)(pixels)[:, ::-1].copy(),
    ),
    "lossy": Variant(LOSSY, lambda pixels: pixels // np.uint16(16), jpeg=True),
}


def decoded(path: Path) -> Pixels:
    """Give an 8-bit film as one of 12 bits."""
    return pydicom.dcmread(path).pixel_array.astype(np.uint16) * np.uint16(16)


def written(name: str, film: Pixels, folder: Path) -> Path:
    """Write a variant of a 12-bit film as `name`.dcm; gives its path."""
    variant = VARIANTS[name]
    ds = _header(name, variant.changes)
    pixels = variant.pixels(film)
    ds.Rows, ds.Columns = pixels.shape
    bits = 8 if variant.jpeg else 12
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (8, 8, 7) if bits == 8 else (16, 12, 11)
    ds.file_meta = FileMetaDataset()
    if variant.jpeg:
        coded = BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(coded, "JPEG", quality=80)
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.PixelData = encapsulate([coded.getvalue()])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    else:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.PixelData = pixels.tobytes()
    path = folder / f"{name}.dcm"
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def _header(name: str, changes: Changes) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = CR, generate_uid(entropy_srcs=["instance", name])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", name])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", name])
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CR", 1, 1
    ds.PatientName, ds.PatientID, ds.PatientSex = "Müller^Zoë", "V-1", "F"
    ds.PatientBirthDate, ds.PatientAge = "19500601", "070Y"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20240102", "101112", "S1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "ACC1", "Arzt^B"
    ds.Manufacturer, ds.BodyPartExamined, ds.ViewPosition = "Maker", "CHEST", "AP"
    ds.PatientOrientation = ["L", "F"]
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.PixelRepresentation = 0
    ds.PixelSpacing = [SPACING_MM, SPACING_MM]
    for keyword, value in changes.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    return ds


@dataclass(frozen=True)
class Read:
    """A variant and what `analyze` made of it."""

    source: Path
    folder: Path
    result: Mapping[str, Any]

    def object(self, kind: str) -> Path:
        return self.folder / f"{kind}.dcm"
