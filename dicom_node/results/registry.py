"""Every kind of DICOM result, and its builder."""

from collections.abc import Iterable, Mapping

import numpy as np
from pydicom.dataset import FileMetaDataset

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    Measurement,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from dicom_node.domain.work import ObjectKind
from dicom_node.formats.dicom.values import item
from dicom_node.results.common import Builder, ReportContext
from dicom_node.results.dicom import gsps, kos, pdf, sc, seg, sr, text_sr

BUILDERS: Mapping[ObjectKind, Builder] = {
    "seg": seg.build,
    "sr": sr.build,
    "text_sr": text_sr.build,
    "sc": sc.build,
    "gsps": gsps.build,
    "kos": kos.build,
    "pdf": pdf.build,
}


def warm_up(kinds: Iterable[ObjectKind] = ("seg", "sr", "sc")) -> None:
    """Build one small result of each kind, so that the first real one is not slow."""
    source = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1",
        SOPInstanceUID="2.25.1",
        StudyInstanceUID="2.25.2",
        SeriesInstanceUID="2.25.3",
        Modality="CR",
    )
    source.file_meta = FileMetaDataset()
    shape = (64, 64)
    line = ((20.5, 20.5), (20.5, 40.5))
    finding = Finding(
        code=codes.PNEUMOTHORAX,
        presence=Presence.PRESENT,
        probability=0.9,
        operating_point=OperatingPoint("warm-up", 0.5, 0.5, 0.5),
        site=codes.PLEURA,
        side=Side.RIGHT,
        urgent=True,
        measurements=(Measurement(codes.DISTANCE, 4, codes.MILLIMETRE, "distance", line=line),),
        segment=Segment(np.pad(np.ones((32, 32), np.bool_), 16), "warm-up"),
    )
    radiograph = Radiograph(
        np.zeros(shape, np.float32),
        InstanceRef(str(source.SOPClassUID), str(source.SOPInstanceUID)),
        Spacing(0.2, 0.2),
        Orientation("L", "F"),
    )
    findings = (Findings(Algorithm("warm-up", "0", ""), (finding,)),)
    for kind in kinds:
        BUILDERS[kind](source, radiograph, findings, ReportContext(0.0, "0"))
