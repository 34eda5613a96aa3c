"""The same before the validators, for every shared chest radiograph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from dicom_node.domain.findings import Findings
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from dicom_node.domain.work import ReportObject
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.registry import BUILDERS

pytestmark = [pytest.mark.peers, pytest.mark.data]
CHESTS = ("siim_*.dcm", "cxr_*.dcm", "simpleitk_cxr.dcm", "nih_google_nhsx.dcm", "RG1_J2KI.dcm")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # what is wrong with other people's headers
@pytest.mark.parametrize("pattern", CHESTS)
def test_every_shared_chest(
    pattern: str,
    shared: Path,
    positive: Callable[..., Findings],
    negative: Findings,
    refused: Findings,
    context: ReportContext,
    complaints: Callable[[Path, list[ReportObject]], list[str]],
    tmp_path: Path,
) -> None:
    files = sorted((shared / "dicom").glob(pattern))
    assert files
    for number, path in enumerate(files):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        image = plain(ds)
        outcomes = (positive(image.pixels.shape), negative, refused)
        for findings in outcomes if number == 0 else outcomes[:1]:
            made = [
                build(ExaminedImage(ds, image, (findings,)), context) for build in BUILDERS.values()
            ]
            results = [one for one in made if one is not None]
            assert complaints(inflated(path, ds, tmp_path), results) == [], path.name


def plain(ds: Dataset) -> Radiograph:
    """Make a grey image of the header's size and place: results depend on no more."""
    shape = (int(ds.Rows), int(ds.Columns))
    row_mm, column_mm = (float(one) for one in ds.get("PixelSpacing") or (0, 0))
    return Radiograph(
        np.full(shape, 0.5, np.float32),
        InstanceRef(ds.SOPClassUID, ds.SOPInstanceUID),
        Spacing(row_mm, column_mm) if row_mm > 0 else None,
        Orientation(*ds.PatientOrientation) if ds.get("PatientOrientation") else None,
    )


def inflated(path: Path, ds: Dataset, folder: Path) -> Path:
    """Give a file that dicom3tools can read: it knows no deflated syntax."""
    if ds.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return path
    copy = pydicom.dcmread(path, stop_before_pixels=True)
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy.save_as(folder / path.name)
    return folder / path.name
