"""Headers: DICOM bytes to the facts that rules look at."""

import re
from datetime import timedelta, timezone
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from dicom_node.domain.exchange.orders import ImageKeys, PatientKey
from dicom_node.domain.study import NODE_MODEL, Instance, InstanceRef, Orientation, Spacing
from dicom_node.domain.views import VIEW_OF_CODE, view_of
from dicom_node.formats.dicom.attributes import (
    decimals,
    integer,
    items,
    odd_elements,
    printable,
    text,
    texts,
    unknown_charset,
)
from dicom_node.formats.dicom.parsing import (
    ElementHead,
    guess_syntax,
    parse_file,
    parse_to_pixels,
    read_file_meta,
)

MOST_NAMED = 20
"""Elements that are named in a row of the database and a line of the log."""
_VALID_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
_AXES = {"L": 0, "R": 0, "H": 1, "F": 1, "A": 2, "P": 2}

# Codes of the region (CID 4009), SCT and its older SRT names
SMALLEST_FIELD_MM, LARGEST_FIELD_MM = 150, 600
"""Sides of a chest radiograph, from a child's film to a long cassette."""
_CHEST_CODES = {"816094009", "51185008", "T-D3000", "43799004", "T-D3200", "39607008", "T-28000"}
LOSSY_SYNTAXES = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Transfer syntaxes that may lose, with LossyImageCompressionMethod (PS3.3 C.7.6.1.1.5.1)."""
ALWAYS_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def read_header(path: Path) -> Dataset:
    """Read a file's attributes up to the pixels, with `file_meta`.

    Without a preamble or File Meta (PS3.10 7.1) the encoding is guessed. Raises
    NotAnalysable when the data set cannot be parsed.
    """
    with path.open("rb") as file:
        return read_to_pixels(file)[0]


def read_to_pixels(file: BinaryIO) -> tuple[Dataset, ElementHead | None]:
    """Read an open file as `read_header` does, and say where its pixels are."""
    meta = read_file_meta(file)
    named = printable(meta, "TransferSyntaxUID")
    syntax = named if _is_valid_uid(named) else guess_syntax(file)
    ds, pixels = parse_to_pixels(file, syntax)
    meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta = meta
    return ds, pixels


def parse(file: BinaryIO, transfer_syntax_uid: str) -> Dataset:
    """Parse a data set that begins where the file stands, up to the pixels.

    Raises NotAnalysable when it cannot be decoded.
    """
    ds = parse_file(file, transfer_syntax_uid)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    return ds


def describe_file(file: BinaryIO, transfer_syntax_uid: str) -> Instance:
    """Describe a data set that begins where the file stands; raises NotAnalysable."""
    return describe(parse(file, transfer_syntax_uid))


def describe(ds: Dataset) -> Instance:
    """Say what the rules need to know; never fails on a wrong value."""
    meta = getattr(ds, "file_meta", None)
    return Instance(
        ref=ref_of(ds),
        study_uid=printable(ds, "StudyInstanceUID"),
        series_uid=printable(ds, "SeriesInstanceUID"),
        transfer_syntax_uid="" if meta is None else printable(meta, "TransferSyntaxUID"),
        patient_id=printable(ds, "PatientID"),
        accession_number=printable(ds, "AccessionNumber"),
        modality=printable(ds, "Modality"),
        body_part=body_part(ds),
        view_position=view_position(ds),
        photometric=printable(ds, "PhotometricInterpretation"),
        rows=integer(ds, "Rows"),
        columns=integer(ds, "Columns"),
        samples_per_pixel=integer(ds, "SamplesPerPixel", missing=1),
        frames=integer(ds, "NumberOfFrames", missing=1),
        bits_stored=integer(ds, "BitsStored"),
        burned_in=text(ds, "BurnedInAnnotation").upper() == "YES",
        orientation=orientation(ds),
        made_by_node=made_by_node(ds),
        deviations=deviations(ds),
    )


def body_part(ds: Dataset) -> str:
    """Give BodyPartExamined, else the region's code (PS3.3 10.5) in words."""
    named = printable(ds, "BodyPartExamined").upper()
    if named:
        return named
    for region in items(ds, "AnatomicRegionSequence"):
        if text(region, "CodeValue") in _CHEST_CODES:
            return "CHEST"
        return printable(region, "CodeMeaning").upper()
    return ""


def view_position(ds: Dataset) -> str:
    """Give the view by ViewPosition, else by its code (CID 4010): see `view_of`."""
    named = "\\".join(texts(ds, "ViewPosition"))
    if named:
        return view_of(named)
    for view in items(ds, "ViewCodeSequence"):
        code = text(view, "CodeValue")
        return (
            VIEW_OF_CODE[code] if code in VIEW_OF_CODE else view_of(printable(view, "CodeMeaning"))
        )
    return ""


def orientation(ds: Dataset) -> Orientation | None:
    """Give PatientOrientation (PS3.3 C.7.6.1.1.1), or None if it says nothing.

    Laterality or the view never stand in for it: a guessed side is worse than none.
    """
    directions = texts(ds, "PatientOrientation")
    if len(directions) != 2 or not all(
        set(direction) <= set(_AXES) and direction for direction in directions
    ):
        return None
    row, column = directions
    return Orientation(row, column) if _AXES[row[0]] != _AXES[column[0]] else None


def spacing(ds: Dataset) -> Spacing | None:
    """Give the spacing of the pixels in mm and the plane that it holds in.

    PixelSpacing is the patient's only where something says that magnification was
    corrected: a PixelSpacingCalibrationType, or values that differ from those at
    the detector (ImagerPixelSpacing) or on the film (NominalScannedPixelSpacing).
    Equal values are uncorrected; with neither attribute it "cannot be determined"
    (PS3.3 10.7.1.1), so the weaker claim is made.

    A field whose side is not 150 to 600 mm, or a magnification that is neither 1 to 2
    nor the same in per cent, shows that the numbers mean something else: None.
    """
    pixel, imager = _pair(ds, "PixelSpacing"), _pair(ds, "ImagerPixelSpacing")
    uncorrected = imager or _pair(ds, "NominalScannedPixelSpacing")
    factor = next(iter(decimals(ds, "EstimatedRadiographicMagnificationFactor")), 0)
    if pixel and (text(ds, "PixelSpacingCalibrationType") or uncorrected not in (None, pixel)):
        measured = Spacing(*pixel, plane="patient")
    elif imager and factor:  # source-detector over source-patient distance
        factor = factor / 100 if 100 <= factor <= 200 else factor
        if not 1 <= factor <= 2:
            return None
        measured = Spacing(imager[0] / factor, imager[1] / factor, plane="patient")
    elif either := pixel or imager:
        measured = Spacing(*either, plane="detector")
    else:
        return None
    sides = integer(ds, "Rows") * measured.row_mm, integer(ds, "Columns") * measured.column_mm
    return (
        measured if all(SMALLEST_FIELD_MM <= side <= LARGEST_FIELD_MM for side in sides) else None
    )


def names_spacing(ds: Dataset) -> bool:
    """Say whether the header has a spacing at all, plausible or not."""
    return any(_pair(ds, keyword) for keyword in ("PixelSpacing", "ImagerPixelSpacing"))


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    """Give row and column spacing (PS3.3 10.7.1.3: positive, rows first)."""
    values = decimals(ds, keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def made_by_node(ds: Dataset) -> bool:
    """Whether a node of this kind made or changed the object."""
    contributors = items(ds, "ContributingEquipmentSequence")
    return any(text(item, "ManufacturerModelName") == NODE_MODEL for item in (ds, *contributors))


def deviations(ds: Dataset) -> tuple[str, ...]:
    """Name what is wrong but harmless, without values."""
    words = [
        f"malformed {keyword}"
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
        if not _is_valid_uid(printable(ds, keyword))
    ]
    if not text(ds, "PatientID"):
        words.append("empty PatientID")
    if unknown_charset(ds):
        words.append("unknown SpecificCharacterSet")
    if text(ds, "PatientOrientation") and orientation(ds) is None:
        words.append("malformed PatientOrientation")
    odd = odd_elements(ds)
    words += [f"unknown VR or odd length in {tag}" for tag in odd[:MOST_NAMED]]
    if len(odd) > MOST_NAMED:
        words.append(f"unknown VR or odd length in {len(odd) - MOST_NAMED} more")
    return tuple(words)


def _is_valid_uid(uid: str) -> bool:
    return len(uid) <= 64 and _VALID_UID.fullmatch(uid) is not None


def keys_of(source: Dataset) -> ImageKeys:
    """Give what an order system may know the image by."""
    return ImageKeys(
        text(source, "StudyInstanceUID"),
        text(source, "AccessionNumber"),
        text(source, "PlacerOrderNumberImagingServiceRequest"),
        text(source, "FillerOrderNumberImagingServiceRequest"),
        PatientKey(text(source, "PatientID"), text(source, "IssuerOfPatientID")),
    )


def ref_of(source: Dataset) -> InstanceRef:
    """Give the source's own reference."""
    return InstanceRef(printable(source, "SOPClassUID"), printable(source, "SOPInstanceUID"))


def instance_number(source: Dataset) -> int:
    """Give InstanceNumber, or 1 where it is missing or no number."""
    number = text(source, "InstanceNumber")
    return int(number) if number.isdecimal() and len(number) <= 9 else 1


def utc_offset(source: Dataset) -> timezone | None:
    """Give the source's TimezoneOffsetFromUTC (0008,0201), if it has a valid one."""
    offset = text(source, "TimezoneOffsetFromUTC")
    if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdecimal():
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    if minutes > 14 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def lossy(source: Dataset) -> tuple[str, str] | None:
    """Say how the source was compressed with loss: (method, ratio), or None.

    Either is empty where it is not known. The flag decides; a transfer syntax
    that always loses counts as one, for senders forget the flag.
    """
    syntax = str(source.file_meta.get("TransferSyntaxUID", "")) if _has_meta(source) else ""
    if text(source, "LossyImageCompression") != "01" and syntax not in ALWAYS_LOSSY:
        return None
    method = text(source, "LossyImageCompressionMethod") or LOSSY_SYNTAXES.get(syntax, "")
    return method, text(source, "LossyImageCompressionRatio")


def _has_meta(source: Dataset) -> bool:
    return getattr(source, "file_meta", None) is not None
