"""Wrap the digital phantom's pixels in a DX object."""

import importlib
from datetime import UTC, datetime

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom_node.domain.codes import CHEST, VIEW_PA
from dicom_node.domain.findings import CodedConcept
from dicom_node.domain.work import derive_uid

BITS_STORED = 12


def phantom_dx(
    seed: int, pneumothorax: str = "none", *, made_at: float, patient_name: str = "", **shape: int
) -> Dataset:
    """Make a DX radiograph of the phantom (PS3.3 A.26), as a modality would.

    `shape` goes to `pipelines.phantom.chest.chest_phantom`. UIDs depend on all the
    arguments alone, `made_at` (POSIX s) sets the study's date and time.
    """
    # by its dotted path: the service does not import pipelines
    phantom = importlib.import_module("pipelines.phantom.chest").chest_phantom(
        seed, pneumothorax, **shape
    )
    identity = ("phantom", str(seed), pneumothorax, repr(sorted(shape.items())), f"{made_at:.3f}")
    ds = Dataset()
    ds.file_meta = _file_meta(identity)
    ds.SpecificCharacterSet = "ISO_IR 192"
    _identify(ds, identity, made_at, patient_name or f"Phantom^{pneumothorax.title()}")
    _equip(ds, phantom.spacing_mm)
    _fill_pixels(ds, phantom.pixels)
    return ds


def _file_meta(identity: tuple[str, ...]) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(derive_uid(*identity, "instance"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _identify(ds: Dataset, identity: tuple[str, ...], made_at: float, name: str) -> None:
    """Fill patient, study, series and instance identification."""
    when = datetime.fromtimestamp(made_at, UTC)
    date, time = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = derive_uid(*identity, "instance")
    ds.StudyInstanceUID = derive_uid(*identity, "study")
    ds.SeriesInstanceUID = derive_uid(*identity, "series")
    ds.PatientName, ds.PatientID = name, f"PHANTOM-{identity[1]}-{identity[2]}"
    ds.PatientBirthDate, ds.PatientSex = "19600101", "O"
    ds.StudyID, ds.AccessionNumber = identity[1], derive_uid(*identity, "order")[-12:]
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.ReferringPhysicianName, ds.StudyDescription = "", "Digital phantom, chest PA"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1


def _equip(ds: Dataset, spacing_mm: float) -> None:
    """Fill equipment, anatomy and DX acquisition (PS3.3 C.8.11)."""
    ds.Modality, ds.PresentationIntentType = "DX", "FOR PRESENTATION"
    ds.Manufacturer, ds.ManufacturerModelName = "digital phantom", "chest phantom"
    ds.BodyPartExamined, ds.ViewPosition, ds.ImageLaterality = "CHEST", "PA", "U"
    ds.PatientOrientation = ["L", "F"]
    ds.AnatomicRegionSequence = Sequence([_coded(CHEST)])
    view = _coded(VIEW_PA)
    view.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = Sequence([view])
    ds.ImagerPixelSpacing = [spacing_mm, spacing_mm]
    ds.PixelSpacing = [spacing_mm, spacing_mm]
    ds.PixelSpacingCalibrationType = "GEOMETRY"
    ds.PixelSpacingCalibrationDescription = "the phantom's own scale"
    ds.DetectorType, ds.DetectorConfiguration = "DIRECT", "AREA"
    ds.DetectorID, ds.KVP, ds.PositionerType = "PHANTOM", "120", ""
    ds.AcquisitionContextSequence = Sequence([])


def _coded(concept: CodedConcept) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = concept.value, concept.scheme
    item.CodeMeaning = concept.meaning
    return item


def _fill_pixels(ds: Dataset, pixels: np.ndarray) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, BITS_STORED, BITS_STORED - 1
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape, ds.LossyImageCompression = "IDENTITY", "00"
    ds.BurnedInAnnotation = "NO"
    low, high = np.percentile(pixels, (0.5, 99.5))
    ds.WindowCenter, ds.WindowWidth = int((low + high) / 2), max(1, int(high - low))
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
