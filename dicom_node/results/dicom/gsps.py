"""Presentation state: the findings as lines over the source image.

Grayscale Softcopy Presentation State (PS3.3 A.33.1). It replaces the image's own
display, so the source's modality and VOI transformations are written in again.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.findings import Findings, Presence
from dicom_node.domain.regions import region_of
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.attributes import decimals, text
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.part10 import copied_sequence
from dicom_node.formats.dicom.values import add, clipped, da, decimal, item, reference, tm
from dicom_node.results import words as say
from dicom_node.results.colours import CONTOURS, cielab
from dicom_node.results.common import (
    NOT_FOR_DIAGNOSIS,
    UNVERIFIED,
    ExaminedImage,
    ReportContext,
    body_part,
    local_time,
    new_object,
    write_object,
)
from dicom_node.results.picture.outline import outlines

SOP_CLASS_UID = SOP_CLASSES["gsps"]
LAYER = "AI_FINDINGS"
VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""PS3.3 C.11.2.1.3."""
TEXT_LENGTH = 1024
"""Characters of an ST value (PS3.5 6.2)."""


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject | None:
    """Outline what is present; None when nothing is."""
    source, radiograph, findings = examined
    if radiograph is None or not any(finding.positive for finding in findings):
        return None
    made = local_time(source, context)
    ds = new_object(SOP_CLASS_UID, "gsps", examined, context)
    del ds.ContentDate, ds.ContentTime  # a state has a creation instead
    copied, laterality = body_part(source)
    add(
        ds,
        Modality="PR",
        SeriesDescription="AI presentation state",
        ContentLabel=LAYER,
        ContentDescription=clipped(UNVERIFIED),
        ContentCreatorName=None,
        PresentationCreationDate=da(made),
        PresentationCreationTime=tm(made),
        ReferencedSeriesSequence=item(
            SeriesInstanceUID=text(source, "SeriesInstanceUID"),
            ReferencedImageSequence=_image(source),
        ),
        DisplayedAreaSelectionSequence=_displayed_area(source, radiograph),
        GraphicAnnotationSequence=_annotation(source, radiograph, findings),
        GraphicLayerSequence=item(
            GraphicLayer=LAYER,
            GraphicLayerOrder=1,
            GraphicLayerRecommendedDisplayGrayscaleValue=0xFFFF,
            GraphicLayerRecommendedDisplayCIELabValue=cielab(CONTOURS[0]),
            GraphicLayerDescription=NOT_FOR_DIAGNOSIS,
        ),
        PresentationLUTShape=_lut_shape(source),
        **laterality,
    )
    _add_window(ds, source)
    return write_object(ds, "gsps", source, (*copied, *_modality(source)))


def _image(source: Dataset) -> Dataset:
    ref = ref_of(source)
    return reference(ref.sop_class_uid, ref.sop_instance_uid)


def _lut_shape(source: Dataset) -> str:
    inverse = text(source, "PhotometricInterpretation") == "MONOCHROME1"
    return "INVERSE" if inverse else "IDENTITY"


def _displayed_area(source: Dataset, radiograph: Radiograph) -> Dataset:
    """Show the whole image (PS3.3 C.10.4)."""
    rows, columns = radiograph.pixels.shape
    area = item(
        ReferencedImageSequence=_image(source),
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[columns, rows],
        PresentationSizeMode="SCALE TO FIT",
    )
    if radiograph.spacing is None:
        return add(area, PresentationPixelAspectRatio=[1, 1])
    row, column = radiograph.spacing.row_mm, radiograph.spacing.column_mm
    return add(area, PresentationPixelSpacing=[decimal(row), decimal(column)])


def _modality(source: Dataset) -> tuple[str, ...]:
    """Name what is copied of the modality transformation; nothing that is no number."""
    rescale = ("RescaleIntercept", "RescaleSlope", "RescaleType")
    sound = all(decimals(source, keyword) for keyword in rescale[:2])
    return ("ModalityLUTSequence", *(rescale if sound else ()))


def _add_window(ds: Dataset, source: Dataset) -> None:
    """Write the source's VOI transformation in again (PS3.3 C.11.8)."""
    table = copied_sequence(source, "VOILUTSequence")
    shown = item(ReferencedImageSequence=_image(source))
    if table is not None:
        shown[table.tag] = table
    elif windows := _windows(source):
        centres, widths = zip(*windows, strict=True)
        add(shown, WindowCenter=list(map(decimal, centres)), WindowWidth=list(map(decimal, widths)))
        if text(source, "VOILUTFunction") in VOI_FUNCTIONS:
            add(shown, VOILUTFunction=text(source, "VOILUTFunction"))
    else:
        return
    add(ds, SoftcopyVOILUTSequence=shown)


def _windows(source: Dataset) -> tuple[tuple[float, float], ...]:
    """Give the source's windows; none where a word of them is no number (`2048,5`, `NORMAL`)."""
    centres, widths = decimals(source, "WindowCenter"), decimals(source, "WindowWidth")
    sound = len(centres) == len(widths) and all(width > 0 for width in widths)
    return tuple(zip(centres, widths, strict=True)) if sound else ()


def _annotation(source: Dataset, radiograph: Radiograph, findings: tuple[Findings, ...]) -> Dataset:
    lines = list(_lines(findings))
    annotation = item(
        ReferencedImageSequence=_image(source),
        GraphicLayer=LAYER,
        TextObjectSequence=_words(findings),
    )
    if not lines:
        return annotation
    return add(annotation, GraphicObjectSequence=[_polyline(points) for points in lines])


def _lines(findings: tuple[Findings, ...]) -> Iterator[list[tuple[float, float]]]:
    """Give outlines, boxes and measured lines as (row, column) points."""
    for finding in (each for answer in findings for each in answer.findings):
        region = region_of(finding)
        if region is not None:
            yield from ([(float(r), float(c)) for r, c in path] for path in outlines(region))
        for box in finding.boxes:
            top, left = box.y, box.x
            bottom, right = top + box.height, left + box.width
            yield [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
        yield from (
            list(measurement.line) for measurement in finding.measurements if measurement.line
        )


def _polyline(points: list[tuple[float, float]]) -> Dataset:
    """Make a graphic object; its data are column, row (PS3.3 C.10.5)."""
    return item(
        GraphicAnnotationUnits="PIXEL",
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(points),
        GraphicData=[axis for row, column in points for axis in (column, row)],
        GraphicType="POLYLINE",
        GraphicFilled="N",
    )


def _words(findings: tuple[Findings, ...]) -> Dataset:
    """Say what is present, in the display's upper left corner."""
    present = (each for answer in findings for each in answer.findings)
    said = [say.impression(each) for each in present if each.presence is Presence.PRESENT]
    return item(
        BoundingBoxAnnotationUnits="DISPLAY",
        UnformattedTextValue="\r\n".join([*said, NOT_FOR_DIAGNOSIS])[:TEXT_LENGTH],
        BoundingBoxTopLeftHandCorner=[0.01, 0.01],
        BoundingBoxBottomRightHandCorner=[0.6, 0.12],
        BoundingBoxTextHorizontalJustification="LEFT",
    )
