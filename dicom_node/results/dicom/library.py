"""The image library of a report (TID 1600 to 1603)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept
from dicom_node.domain.study import Radiograph
from dicom_node.formats.dicom.source import ref_of, text
from dicom_node.results.dicom.content import code, container, image, number, with_children, words

ACQUIRED = "HAS ACQ CONTEXT"
MODALITIES: dict[str, CodedConcept] = {
    "CR": codes.COMPUTED_RADIOGRAPHY,
    "DX": codes.DIGITAL_RADIOGRAPHY,
}
VIEWS: dict[str, CodedConcept] = {"PA": codes.VIEW_PA, "AP": codes.VIEW_AP}


def image_library(source: Dataset, radiograph: Radiograph) -> Dataset:
    """Describe the radiograph that the report is about; unknown facts stay out."""
    entry = with_children(image(codes.SOURCE, ref_of(source)), *_descriptors(source, radiograph))
    group = container(codes.IMAGE_LIBRARY_GROUP, entry)
    return container(codes.IMAGE_LIBRARY, group)


def _descriptors(source: Dataset, radiograph: Radiograph) -> Iterator[Dataset]:
    modality = MODALITIES.get(text(source, "Modality"))
    if modality is not None:
        yield code(codes.MODALITY, modality, ACQUIRED)
    rows, columns = radiograph.pixels.shape
    yield number(codes.ROWS, rows, codes.PIXELS, ACQUIRED)
    yield number(codes.COLUMNS, columns, codes.PIXELS, ACQUIRED)
    view = VIEWS.get(radiograph.view_position)
    if view is not None:
        yield code(codes.IMAGE_VIEW, view, ACQUIRED)
    if radiograph.orientation is not None:
        yield words(codes.ORIENTATION_ROW, radiograph.orientation.row, ACQUIRED)
        yield words(codes.ORIENTATION_COLUMN, radiograph.orientation.column, ACQUIRED)
    if radiograph.spacing is not None:
        across, down = radiograph.spacing.column_mm, radiograph.spacing.row_mm
        yield number(codes.HORIZONTAL_SPACING, across, codes.MILLIMETRE, ACQUIRED)
        yield number(codes.VERTICAL_SPACING, down, codes.MILLIMETRE, ACQUIRED)
