"""The grayscale pipeline of PS3.3 C.11, against its formulas."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.domain.errors import NotAnalysable
from tests.support.pixel_files import Attribute, Samples, dataset, film, lut, read

BITS = 12
LUNG, BONE, AIR = (150, 86), (150, 144), (150, 0)


def close(pixels: NDArray[np.float32], expected: NDArray[np.float64]) -> bool:
    return bool(np.abs(pixels - np.clip(expected, 0, 1)).max() < 1e-6)


def read_film(tmp_path: Path, **attributes: Attribute) -> NDArray[np.float32]:
    return read(dataset(film(BITS), BITS, **attributes), tmp_path).pixels


def test_without_any_window_the_grey_range_of_the_image(tmp_path: Path) -> None:
    radiograph = read(dataset(film(BITS), BITS), tmp_path)
    assert radiograph.pixels.dtype == np.float32
    assert (radiograph.pixels.min(), radiograph.pixels.max()) == (0, 1)
    low, high = np.quantile(film(BITS), [0.005, 0.995])
    expected = np.clip((film(BITS) - low) / (high - low), 0, 1)
    assert np.abs(radiograph.pixels - expected).max() < 0.01
    assert radiograph.pixels[LUNG] < radiograph.pixels[BONE]
    assert "no pixel spacing: no measurements in mm" in radiograph.notes


def test_8_bits_without_window_are_shown_as_they_are(tmp_path: Path) -> None:
    pixels = read(dataset(film(8)), tmp_path).pixels
    assert close(pixels, film(8) / 255)


def test_8_bits_of_little_contrast_are_stretched(tmp_path: Path) -> None:
    pixels = read(dataset((film(8) // 4 + 90).astype(np.uint8)), tmp_path).pixels
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (1800, 2500, ""),
        (1800, 2500, "LINEAR"),
        (1800.5, 2500.5, "LINEAR_EXACT"),
        (1800, 900, "SIGMOID"),
    ],
)
def test_window(center: float, width: float, function: str, tmp_path: Path) -> None:
    x = film(BITS).astype(np.float64)
    expected = {
        "LINEAR": ((x - (center - 0.5)) / (width - 1) + 0.5),  # C.11.2.1.2.1
        "LINEAR_EXACT": (x - center) / width + 0.5,  # C.11.2.1.3.2
        "SIGMOID": 1 / (1 + np.exp(-4 * (x - center) / width)),  # C.11.2.1.3.1
    }[function or "LINEAR"]
    attributes: dict[str, Attribute] = {"WindowCenter": center, "WindowWidth": width}
    if function:
        attributes["VOILUTFunction"] = function
    assert close(read_film(tmp_path, **attributes), expected)


def test_of_several_windows_the_first(tmp_path: Path) -> None:
    several = read_film(tmp_path, WindowCenter=[1800, 300], WindowWidth=[2500, 400])
    assert np.array_equal(several, read_film(tmp_path, WindowCenter=1800, WindowWidth=2500))


@pytest.mark.parametrize(
    ("center", "width"), [(60000, 100), (-500, 20), (2000, 1), (2000, 0), (2000, 5_000_000)]
)
def test_useless_window_gives_way_to_the_grey_range(
    center: float, width: float, tmp_path: Path
) -> None:
    ds = dataset(film(BITS), BITS, WindowCenter=center, WindowWidth=width)
    radiograph = read(ds, tmp_path)
    assert np.array_equal(radiograph.pixels, read_film(tmp_path))
    assert "window of the header is unusable: grey range of the image" in radiograph.notes


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    pixels = read_film(
        tmp_path, RescaleSlope=0.5, RescaleIntercept=-100, WindowCenter=800, WindowWidth=1201
    )
    assert close(pixels, ((film(BITS) * 0.5 - 100) - 799.5) / 1200 + 0.5)


def test_negative_slope_turns_the_image(tmp_path: Path) -> None:
    pixels = read_film(tmp_path, RescaleSlope=-1, RescaleIntercept=4095)
    assert pixels[LUNG] > pixels[BONE]


def test_rescale_slope_of_zero(tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="rescale slope is damaged"):
        read_film(tmp_path, RescaleSlope=0, RescaleIntercept=0)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_modality_lut_then_window(syntax: UID, tmp_path: Path) -> None:
    first, table = 100, [int(60 * value**0.5) for value in range(3500)]
    ds = dataset(film(BITS), BITS, WindowCenter=1700, WindowWidth=3001)
    ds.ModalityLUTSequence = lut(table, first, 16)
    if syntax == ExplicitVRBigEndian:
        ds.ModalityLUTSequence[0].LUTData = np.array(table, ">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    looked_up = np.array(table)[np.clip(film(BITS).astype(int) - first, 0, 3499)]
    assert close(read(ds, tmp_path).pixels, (looked_up - 1699.5) / 3000 + 0.5)


def test_voi_lut_goes_before_the_window(tmp_path: Path) -> None:
    table = [min(1023, value // 4) for value in range(4096)]
    ds = dataset(film(BITS), BITS, WindowCenter=500, WindowWidth=100)
    ds.VOILUTSequence = [*lut(table, 0, 10), *lut(table[::-1], 0, 10)]
    expected = np.array(table)[film(BITS)] / 1023
    assert close(read(ds, tmp_path).pixels, expected)


def test_voi_lut_of_negative_values(tmp_path: Path) -> None:
    samples: Samples = (film(BITS).astype(np.int32) - 2048).astype(np.int16)
    ds = dataset(samples, BITS)
    ds.VOILUTSequence = lut(list(range(4096)), -2048, 12, signed=True)
    assert close(read(ds, tmp_path).pixels, (samples + 2048.0) / 4095)


def test_voi_lut_of_8_bit_entries_packed_in_bytes(tmp_path: Path) -> None:
    ds = dataset(film(BITS), BITS)
    ds.VOILUTSequence = lut([value // 16 for value in range(4096)], 0, 8)
    packed = bytes(value // 16 for value in range(4096))
    wide = read(ds, tmp_path).pixels
    ds.VOILUTSequence[0].LUTData = packed
    assert np.array_equal(read(ds, tmp_path).pixels, wide)
    assert close(wide, (film(BITS) // 16) / 255)


def test_voi_lut_that_declares_more_bits_than_it_uses(tmp_path: Path) -> None:
    ds = dataset(film(BITS), BITS)
    ds.VOILUTSequence = lut(list(range(4096)), 0, 16)
    assert close(read(ds, tmp_path).pixels, film(BITS) / 4095)


def test_damaged_voi_lut_gives_way(tmp_path: Path) -> None:
    ds = dataset(film(BITS), BITS)
    ds.VOILUTSequence = lut(list(range(4096)), 0, 12)
    ds.VOILUTSequence[0].LUTData = bytes(100)
    radiograph = read(ds, tmp_path)
    assert np.array_equal(radiograph.pixels, read_film(tmp_path))
    assert any("unusable" in note for note in radiograph.notes)


def test_damaged_modality_lut(tmp_path: Path) -> None:
    ds = dataset(film(BITS), BITS)
    ds.ModalityLUTSequence = lut(list(range(4096)), 0, 12)
    ds.ModalityLUTSequence[0].LUTData = bytes(100)
    with pytest.raises(NotAnalysable, match="modality LUT"):
        read(ds, tmp_path)


WINDOW: dict[str, Attribute] = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "doubtful"),
    [
        ("MONOCHROME2", "", False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME1", "", True, False),
        ("MONOCHROME1", "INVERSE", True, False),  # one inversion, not two (C.8.11.3.1.2)
        ("MONOCHROME1", "IDENTITY", True, True),
        ("MONOCHROME2", "INVERSE", True, True),
    ],
)
def test_polarity(
    photometric: str, shape: str, inverted: bool, doubtful: bool, tmp_path: Path
) -> None:
    attributes = {**WINDOW, "PhotometricInterpretation": photometric}
    if shape:
        attributes["PresentationLUTShape"] = shape
    radiograph = read(dataset(film(BITS), BITS, **attributes), tmp_path)
    plain = read_film(tmp_path, **WINDOW)
    assert np.allclose(radiograph.pixels, 1 - plain if inverted else plain, atol=1e-6)
    assert any("disagree" in note for note in radiograph.notes) == doubtful


def test_dirty_high_bits_are_masked(tmp_path: Path) -> None:
    dirty = film(BITS) | (np.random.default_rng(3).integers(0, 16, film(BITS).shape) << 12)
    ds = dataset(dirty.astype(np.uint16), BITS, **WINDOW)
    assert np.array_equal(read(ds, tmp_path).pixels, read_film(tmp_path, **WINDOW))


def test_dirty_high_bits_of_signed_values(tmp_path: Path) -> None:
    samples = film(BITS).astype(np.int32) - 2048
    window: dict[str, Attribute] = {"WindowCenter": 0, "WindowWidth": 4096}
    clean = read(dataset(samples.astype(np.int16), BITS, **window), tmp_path).pixels
    dirty = (samples & 0x0FFF).astype(np.int16)  # the sign is in bit 11 only
    assert np.array_equal(read(dataset(dirty, BITS, **window), tmp_path).pixels, clean)


def test_bits_above_and_below_the_stored_ones(tmp_path: Path) -> None:
    shifted = (film(BITS).astype(np.uint16) << 3) | 0x8005
    ds = dataset(shifted.astype(np.uint16), BITS, HighBit=14, **WINDOW)
    assert np.array_equal(read(ds, tmp_path).pixels, read_film(tmp_path, **WINDOW))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 4000])
def test_padding_is_dark_and_out_of_the_statistics(
    photometric: str, limit: int | None, tmp_path: Path
) -> None:
    samples = np.minimum(film(BITS), 3000)
    bare = read(dataset(samples, BITS, PhotometricInterpretation=photometric), tmp_path).pixels
    samples[:, :100] = 4095 if limit is None else np.linspace(4000, 4095, 100).astype(np.uint16)
    ds = dataset(samples, BITS, PhotometricInterpretation=photometric)
    ds.add_new("PixelPaddingValue", "US", 4095)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", "US", limit)
    pixels = read(ds, tmp_path).pixels
    assert not pixels[:, :100].any()
    assert np.abs(pixels[:, 100:] - bare[:, 100:]).max() < 0.05


def test_signed_padding_written_as_unsigned(tmp_path: Path) -> None:
    samples = (film(BITS).astype(np.int32) - 1000).astype(np.int16)
    samples[:50] = -2000
    ds = dataset(samples, 16)
    ds.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert not read(ds, tmp_path).pixels[:50].any()


@pytest.mark.parametrize("value", [0, 1234, 4095])
def test_blank_image(value: int, tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="image is blank"):
        read(dataset(np.full((300, 300), value, np.uint16), BITS), tmp_path)


def test_image_of_padding_only(tmp_path: Path) -> None:
    ds = dataset(np.full((300, 300), 7, np.uint16), BITS)
    ds.add_new("PixelPaddingValue", "US", 7)
    with pytest.raises(NotAnalysable, match="blank: padding only"):
        read(ds, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        ({"ViewPosition": "AP"}, "AP view"),
        ({"ImagerPixelSpacing": ["0.6", "0.6"]}, "distances in the detector plane"),
        ({"PixelSpacing": ["5", "5"]}, "pixel spacing not plausible: no measurements in mm"),
        ({"BurnedInAnnotation": "YES"}, "burned-in annotation"),
        ({"LossyImageCompression": "01"}, "lossy source"),
    ],
)
def test_notes(attributes: dict[str, Attribute], note: str, tmp_path: Path) -> None:
    assert note in read(dataset(film(BITS), BITS, **attributes), tmp_path).notes
    assert note not in read(dataset(film(BITS), BITS), tmp_path).notes


def test_orientation_and_spacing_leave_the_pixels_in_stored_order(tmp_path: Path) -> None:
    ds = dataset(film(BITS), BITS, PatientOrientation=["R", "F"], ViewPosition="PA", **WINDOW)
    ds.PixelSpacing, ds.PixelSpacingCalibrationType = ["0.55", "0.54"], "GEOMETRY"
    radiograph = read(ds, tmp_path)
    assert np.array_equal(radiograph.pixels, read_film(tmp_path, **WINDOW))
    assert radiograph.orientation is not None
    assert (radiograph.orientation.row, radiograph.orientation.column) == ("R", "F")
    assert radiograph.spacing is not None
    assert (radiograph.spacing.row_mm, radiograph.spacing.column_mm) == (0.55, 0.54)
