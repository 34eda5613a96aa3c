"""Secondary capture: the radiograph with its findings, for any viewer.

RGB without compression (PS3.3 A.8.1, C.8.6): every archive takes it, and lines and
letters stay sharp; at this size it is about 4 MB.
"""

from datetime import datetime

from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.findings import Findings
from dicom_node.domain.identity import analysed
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.values import add, clipped, da, tm
from dicom_node.results.common import (
    NOT_FOR_DIAGNOSIS,
    ExaminedImage,
    ReportContext,
    add_lossy,
    body_part,
    local_time,
    new_object,
    source_image,
    write_object,
)
from dicom_node.results.picture.frame import BACKGROUND, MARGIN
from dicom_node.results.picture.panel import caption, draw_panel, panel
from dicom_node.results.picture.picture import draw_picture

SOP_CLASS_UID = SOP_CLASSES["sc"]
WIDE = 1.3
"""From this width / height on the words stand below the picture."""


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject | None:
    """Draw all pipelines' findings of one image; None when no pipeline read it."""
    source, radiograph, findings = examined
    if radiograph is None or not analysed(findings):
        return None
    made = local_time(source, context)
    if context.overlay == "contour":
        image = add_legend(radiograph, findings)
    else:
        image = overlay(radiograph, findings, made)
    ds = new_object(SOP_CLASS_UID, "sc", examined, context)
    copied, laterality = body_part(source)
    add(
        ds,
        Modality="OT",
        ConversionType="WSD",
        ImageType=["DERIVED", "SECONDARY"],
        SeriesDescription="AI overlay",
        DerivationDescription=clipped(f"Findings drawn in. {NOT_FOR_DIAGNOSIS}", 1024),
        DateOfSecondaryCapture=da(made),
        TimeOfSecondaryCapture=tm(made),
        SecondaryCaptureDeviceManufacturer=ds.Manufacturer,
        SecondaryCaptureDeviceManufacturerModelName=ds.ManufacturerModelName,
        SecondaryCaptureDeviceSoftwareVersions=ds.SoftwareVersions,
        BurnedInAnnotation="YES",
        RecognizableVisualFeatures="NO",
        PatientOrientation=None,
        **laterality,
        SourceImageSequence=source_image(source),
    )
    _add_pixels(ds, image)
    add_lossy(ds, source)
    return write_object(ds, "sc", source, (*copied, "PatientOrientation"))


def overlay(radiograph: Radiograph, findings: tuple[Findings, ...], made: datetime) -> Image.Image:
    """Join picture and words: beside an upright radiograph, below a wide one."""
    picture = draw_picture(radiograph, findings)
    stamp = f"Made {made:%Y-%m-%d %H:%M:%S}"
    width, height = picture.size
    if width - 2 * MARGIN > WIDE * (height - 2 * MARGIN):
        text = panel(radiograph, findings, stamp, width, None)
        size, place = (width, height + text.height), (0, height)
    else:
        text = draw_panel(radiograph, findings, stamp, height)
        size, place = (width + text.width, height), (width, 0)
    return _joined(picture, text, place, size)


def add_legend(radiograph: Radiograph, findings: tuple[Findings, ...]) -> Image.Image:
    """Put a legend of what is marked under the picture, and nothing else."""
    picture = draw_picture(radiograph, findings)
    legend = caption(findings, picture.width)
    size = (picture.width, picture.height + legend.height)
    return _joined(picture, legend, (0, picture.height), size)


def _joined(
    picture: Image.Image, words: Image.Image, place: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    image = Image.new("RGB", size, BACKGROUND)
    image.paste(picture, (0, 0))
    image.paste(words, place)
    return image


def _add_pixels(ds: Dataset, image: Image.Image) -> None:
    content = image.tobytes()
    add(
        ds,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        Rows=image.height,
        Columns=image.width,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=content + b"\0" * (len(content) % 2),
    )
