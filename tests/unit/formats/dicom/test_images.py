"""PNG and JPEG files become Secondary Captures that can be read."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicom_node.domain.admission import Route, admit
from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.study import Radiograph
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.dicom.images import is_dicom, secondary_capture
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from tests.support.pixel_files import Samples, dataset, film, jpeg_bytes, save


def png(path: Path, samples: Samples) -> Path:
    Image.fromarray(samples).save(path, "PNG")
    return path


def through_dicom(source: Path) -> tuple[Path, Radiograph]:
    target = source.with_suffix(".dcm")
    secondary_capture(source).save_as(target, enforce_file_format=True)
    return target, read_radiograph(target)[1]


def test_8_bit_png_keeps_its_values(tmp_path: Path) -> None:
    target, radiograph = through_dicom(png(tmp_path / "a.png", film(8)))
    assert np.array_equal(dcmread(target).pixel_array, film(8))
    assert np.abs(radiograph.pixels - film(8) / 255).max() < 1e-6
    assert (radiograph.spacing, radiograph.orientation) == (None, None)


def test_16_bit_png_keeps_its_values(tmp_path: Path) -> None:
    target, _ = through_dicom(png(tmp_path / "a.png", film(16)))
    assert np.array_equal(dcmread(target).pixel_array, film(16))


def test_gray_jpeg_is_marked_lossy(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    source.write_bytes(jpeg_bytes(film(8)))
    target, radiograph = through_dicom(source)
    with Image.open(source) as image:
        assert np.array_equal(dcmread(target).pixel_array, np.asarray(image))
    assert "lossy source" in radiograph.notes
    assert dcmread(target).LossyImageCompressionMethod == "ISO_10918_1"


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_equal_channels_are_gray(name: str, mode: str, tmp_path: Path) -> None:
    if name == "a.jpg" and mode != "RGB":
        mode = "L"  # JPEG knows no alpha and no palette
    Image.fromarray(film(8)).convert(mode).save(tmp_path / name)
    target, _ = through_dicom(tmp_path / name)
    tolerance = 0 if name == "a.png" else 40
    difference = dcmread(target).pixel_array.astype(int) - film(8)
    assert np.abs(difference).max() <= tolerance


def test_colour_is_refused(tmp_path: Path) -> None:
    channels = np.dstack([film(8)] * 3)
    channels[100:120, 100:140, 0] = 255
    with pytest.raises(NotAnalysable, match="colour image"):
        secondary_capture(png(tmp_path / "a.png", channels))


def test_picture_is_turned_upright_as_viewers_show_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left
    Image.fromarray(film(8)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(secondary_capture(tmp_path / "a.png").pixel_array, film(8).T[:, ::-1])


def test_same_content_gives_the_same_uids(tmp_path: Path) -> None:
    first = secondary_capture(png(tmp_path / "a.png", film(8)))
    again = secondary_capture(png(tmp_path / "b.png", film(8)))
    other = secondary_capture(png(tmp_path / "c.png", film(8)[::-1]))
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    assert [first[one].value for one in uids] == [again[one].value for one in uids]
    assert not {first[one].value for one in uids} & {other[one].value for one in uids}
    assert len({first[one].value for one in uids}) == 3
    assert first == again


def test_default_route_admits_it(tmp_path: Path) -> None:
    target, _ = through_dicom(png(tmp_path / "a.png", film(8)))
    assert admit(describe(read_header(target)), "", (Route("analyze"),)).not_analysed is None


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "colour.jpg"])
def test_cut_file(name: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / name
    samples = np.dstack([film(8)] * 3) if name == "colour.jpg" else film(8)
    Image.fromarray(samples).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(NotAnalysable):
        secondary_capture(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_zeroed_bytes_in_the_middle(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.fromarray(film(8)).save(path)
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])
    with pytest.raises(NotAnalysable):
        secondary_capture(path)


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(50), b"\x89PNG\r\n\x1a\n", b"x" * 9999])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert not is_dicom(path)
    with pytest.raises(NotAnalysable, match="not a readable PNG or JPEG file"):
        secondary_capture(path)


def test_picture_of_enormous_size_is_never_decoded(tmp_path: Path) -> None:
    with Image.new("1", (21_000, 300)) as image:
        image.save(tmp_path / "a.png")
    with pytest.raises(NotAnalysable, match="image of 300 x 21000 is too large"):
        secondary_capture(tmp_path / "a.png")


def test_is_dicom_with_and_without_preamble(tmp_path: Path) -> None:
    path = save(dataset(film(8)), tmp_path / "image.dcm")
    assert is_dicom(path)
    path.write_bytes(path.read_bytes()[132:])
    assert is_dicom(path)
    assert not is_dicom(png(tmp_path / "a.png", film(8)))


@pytest.mark.peers
@pytest.mark.parametrize("bits", [8, 16])
def test_validator_finds_no_error(bits: int, tmp_path: Path) -> None:
    target, _ = through_dicom(png(tmp_path / "a.png", film(bits)))
    checked = subprocess.run(["dciodvfy", "-new", str(target)], capture_output=True, text=True)
    assert "SCImage" in checked.stderr + checked.stdout
    assert "Error" not in checked.stderr + checked.stdout


@pytest.mark.data
def test_real_radiograph_from_jpeg(shared: Path, tmp_path: Path) -> None:
    source = next(iter(sorted((shared / "cxr" / "full").glob("*.jpg"))))
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    _, radiograph = through_dicom(copy)
    with Image.open(source) as image:
        assert np.abs(radiograph.pixels - np.asarray(image) / 255).max() < 1e-6
