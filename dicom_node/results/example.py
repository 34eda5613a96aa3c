"""A made-up finding, to show what results look like."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Box,
    Finding,
    Findings,
    Measurement,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from dicom_node.domain.work import derive_uid
from dicom_node.formats.dicom.values import item
from dicom_node.results.common import ExaminedImage

ROWS, COLUMNS = 480, 400
SPACING_MM = 0.8
SOURCE_CLASS_UID = "1.2.840.10008.5.1.4.1.1.1.1"


def example() -> ExaminedImage:
    """Make an image, and an urgent pneumothorax with sizes and a nodule in it."""
    source = _source()
    radiograph = Radiograph(
        _pixels(),
        InstanceRef(str(source.SOPClassUID), str(source.SOPInstanceUID)),
        Spacing(SPACING_MM, SPACING_MM),
        Orientation("L", "F"),
        "PA",
    )
    digest = "0" * 64
    findings = (
        Findings(Algorithm("pneumothorax", "example", digest), (_pneumothorax(),)),
        Findings(Algorithm("chest_findings", "example", digest), (_nodule(), _no_effusion())),
    )
    return ExaminedImage(source, radiograph, findings)


def _source() -> Dataset:
    source = item(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=SOURCE_CLASS_UID,
        SOPInstanceUID=derive_uid("example", "instance"),
        StudyInstanceUID=derive_uid("example", "study"),
        SeriesInstanceUID=derive_uid("example", "series"),
        Modality="DX",
        SeriesNumber=1,
        InstanceNumber=1,
        PatientName="Example^Erika",
        PatientID="EXAMPLE-1",
        IssuerOfPatientID="EXAMPLE",
        PatientBirthDate="19600101",
        PatientSex="F",
        StudyID="1",
        StudyDate="20260102",
        StudyTime="101112",
        AccessionNumber="EXAMPLE-2",
        ReferringPhysicianName="",
        BodyPartExamined="CHEST",
        ViewPosition="PA",
        PatientOrientation=["L", "F"],
        PixelSpacing=[SPACING_MM, SPACING_MM],
        Rows=ROWS,
        Columns=COLUMNS,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
    )
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return source


def _lungs() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw two ellipses, the patient's right lung first."""
    rows, columns = np.indices((ROWS, COLUMNS))
    right, left = (
        ((rows - 220) / 170) ** 2 + ((columns - column) / 70) ** 2 < 1 for column in (110, 290)
    )
    return right, left


def _pixels() -> NDArray[np.float32]:
    rows = np.indices((ROWS, COLUMNS))[0]
    right, left = _lungs()
    shade = np.where(right | left, 0.25, 0.7) + 0.1 * np.sin(rows / 14)
    return np.asarray(np.clip(shade, 0, 1), np.float32)


def _pneumothorax() -> Finding:
    right, _ = _lungs()
    mask = right & (np.indices(right.shape)[0] < 120)
    area_mm2 = float(mask.sum()) * SPACING_MM**2
    line = ((60.5, 110.5), (110.5, 110.5))
    return Finding(
        code=codes.PNEUMOTHORAX,
        presence=Presence.PRESENT,
        probability=0.93,
        operating_point=OperatingPoint("balanced", 0.5, 0.9, 0.9),
        site=codes.PLEURA,
        side=Side.RIGHT,
        urgent=True,
        measurements=(
            Measurement(codes.AREA, area_mm2, codes.SQUARE_MILLIMETRE, "area"),
            Measurement(
                codes.DISTANCE,
                50 * SPACING_MM,
                codes.MILLIMETRE,
                "maximal interpleural distance",
                codes.MAXIMUM,
                line,
            ),
        ),
        segment=Segment(mask, "Pneumothorax"),
    )


def _nodule() -> Finding:
    return Finding(
        code=codes.NODULE,
        presence=Presence.PRESENT,
        probability=0.71,
        operating_point=OperatingPoint("balanced", 0.5, 0.8, 0.8),
        site=codes.LUNG,
        side=Side.LEFT,
        boxes=(Box(270, 180, 40, 40, 0.71),),
    )


def _no_effusion() -> Finding:
    point = OperatingPoint("balanced", 0.5, 0.8, 0.8)
    return Finding(codes.PLEURAL_EFFUSION, Presence.ABSENT, 0.04, point, codes.PLEURA)
