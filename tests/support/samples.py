"""A source, its image, and findings of three pipelines."""

import numpy as np
import pydicom

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
from dicom_node.formats.dicom.values import item

SHAPE = (600, 500)
POINT = OperatingPoint("balanced", 0.42, 0.88, 0.9)


def source() -> pydicom.Dataset:
    ds = item(
        SpecificCharacterSet="ISO_IR 100",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1",
        SOPInstanceUID="2.25.1",
        StudyInstanceUID="2.25.2",
        SeriesInstanceUID="2.25.3",
        Modality="CR",
        PatientName="Secret^Person",
        PatientID="HIDDEN7",
        PatientBirthDate="",
        PatientSex="O",
        StudyDate="20240102",
        StudyTime="101112",
        StudyID="1",
        AccessionNumber="A1",
        ReferringPhysicianName="",
        PatientOrientation=["L", "F"],
    )
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    return ds


def radiograph() -> Radiograph:
    rows, columns = np.indices(SHAPE, dtype=np.float32)
    wave = 0.5 + 0.3 * np.sin(rows / 40) * np.cos(columns / 60)
    ref = InstanceRef("1.2.840.10008.5.1.4.1.1.1", "2.25.1")
    return Radiograph(wave.astype(np.float32), ref, Spacing(0.2, 0.2), Orientation("L", "F"))


def findings(*, urgent: bool = True) -> tuple[Findings, ...]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[100:200, 100:200] = True
    line = ((150.0, 100.5), (150.0, 199.5))
    air = Finding(
        codes.PNEUMOTHORAX,
        Presence.PRESENT,
        0.93,
        POINT,
        codes.PLEURA,
        Side.RIGHT,
        urgent,
        (Measurement(codes.DISTANCE, 19.8, codes.MILLIMETRE, "distance", codes.MAXIMUM, line),),
        Segment(mask, "Pneumothorax"),
    )
    box = Box(300, 300, 60, 80, 0.7)
    mass = Finding(codes.MASS, Presence.PRESENT, 0.6, POINT, codes.LUNG, boxes=(box,))
    effusion = Finding(codes.PLEURAL_EFFUSION, Presence.ABSENT, 0.1, POINT, codes.PLEURA)
    return (
        Findings(Algorithm("pneumothorax", "1.0", "ab" * 32), (air,)),
        Findings(Algorithm("chest_findings", "1.0", "cd" * 32), (mass, effusion)),
        Findings(Algorithm("pneumonia", "1.0", "ef" * 32), not_analysed="a child"),
    )
