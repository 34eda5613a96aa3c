"""Real files, and what DCMTK makes of the same bytes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from tests.support.pixel_files import Attribute, Samples, compress, dataset, film, lut, save

SAME_IMAGE = ("cxr_rle", "cxr_jls_ll", "cxr_j2k_ll", "cxr_deflated")
OTHERS_THAT_ARE_GRAY = (
    "other_RG2_J2KI",
    "other_RG2_JPLY",
    "other_RG3_J2KR",
    "other_RG3_JLSN",
    "other_XA1_J2KI",
    "other_XA1_JPLL",
    "other_fodicom_OutOfBoundsOverlay_MG",
    "other_pydicom_examples_overlay",
    "other_pydicom_image_dfl",
)


def by_dcmtk(path: Path, *options: str) -> NDArray[np.float64]:
    """Render with DCMTK to 0..1 in 256 steps."""
    target = path.with_suffix(".pgm")
    subprocess.run(
        ["dcmj2pnm", *options, "-O", "+op", str(path), str(target)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with Image.open(target) as image:
        return np.asarray(image, np.float64) / 255


@pytest.mark.data
def test_every_chest_radiograph_is_read(shared: Path) -> None:
    names = [*(shared / "dicom").glob("siim_*.dcm"), *(shared / "dicom").glob("cxr_*.dcm")]
    names += [shared / "dicom" / f"{one}.dcm" for one in ("RG1_J2KI", "nih_google_nhsx")]
    assert len(names) == 30
    for path in names:
        pixels = read_radiograph(path)[1].pixels
        assert pixels.std() > 0.1, path.name
        # lungs are darker than what lies between them
        rows, columns = pixels.shape
        band = pixels[rows * 3 // 8 : rows * 5 // 8]
        lungs = min(band[:, columns // 5 : columns * 2 // 5].mean(), _right_lung(band))
        assert lungs < band[:, columns * 9 // 20 : columns * 11 // 20].mean(), path.name


def _right_lung(band: NDArray[np.float32]) -> float:
    columns = band.shape[1]
    return float(band[:, columns * 3 // 5 : columns * 4 // 5].mean())


@pytest.mark.data
@pytest.mark.parametrize("name", SAME_IMAGE)
def test_one_radiograph_in_five_syntaxes(name: str, shared: Path) -> None:
    _, first = read_radiograph(shared / "dicom" / "simpleitk_cxr.dcm")
    _, second = read_radiograph(shared / "dicom" / f"{name}.dcm")
    assert np.array_equal(first.pixels, second.pixels)


@pytest.mark.data
def test_lossy_codecs_agree_on_the_same_hip(shared: Path) -> None:
    _, dct = read_radiograph(shared / "dicom" / "other_RG2_JPLY.dcm")
    _, wavelet = read_radiograph(shared / "dicom" / "other_RG2_J2KI.dcm")
    assert np.abs(dct.pixels - wavelet.pixels).mean() < 0.005


@pytest.mark.data
def test_the_other_files_are_read_or_told(shared: Path) -> None:
    paths = [*(shared / "dicom").glob("other_*"), *(shared / "dicom").glob("malformed_*")]
    gray = set()
    for path in paths:
        try:
            read_radiograph(path)
            gray.add(path.stem)
        except NotAnalysable as reason:
            assert str(reason)
    assert gray == set(OTHERS_THAT_ARE_GRAY)


@pytest.mark.peers
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simpleitk_cxr", ["+Wi", "1"]),
        ("cxr_rle", ["+Wi", "1"]),
        ("cxr_deflated", ["+Wi", "1"]),
        ("other_RG2_JPLY", ["+Wi", "1"]),
        ("other_fodicom_OutOfBoundsOverlay_MG", ["+Wi", "1"]),
        ("siim_ptx_00001583_003", []),
        ("nih_google_nhsx", []),
    ],
)
def test_real_files_look_as_in_dcmtk(
    name: str, options: list[str], shared: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.dcm"
    path.write_bytes((shared / "dicom" / path.name).read_bytes())
    assert np.abs(read_radiograph(path)[1].pixels - by_dcmtk(path, *options)).max() < 2 / 255


def made(kind: str) -> Dataset:
    window: dict[str, Attribute] = {"WindowCenter": [1700, 9], "WindowWidth": [2400, 9]}
    samples: Samples = film(12)
    if kind == "signed":
        shifted = (samples.astype(np.int32) - 2048).astype(np.int16)
        return dataset(shifted, 12, WindowCenter=-100, WindowWidth=2400)
    if kind == "dirty":
        return dataset((samples | 0x5000).astype(np.uint16), 12, **window)
    if kind == "rescaled":
        return dataset(
            samples, 12, RescaleSlope=0.5, RescaleIntercept=-300, WindowCenter=500, WindowWidth=1200
        )
    ds = dataset(samples, 12, **window)
    match kind:
        case "MONOCHROME1" | "INVERSE":
            ds.PhotometricInterpretation = "MONOCHROME1"
            if kind == "INVERSE":
                ds.PresentationLUTShape = "INVERSE"
        case "SIGMOID":
            ds.VOILUTFunction = "SIGMOID"
        case "modality LUT":
            ds.ModalityLUTSequence = lut([int(64 * v**0.5) for v in range(4096)], 0, 16)
        case "VOI LUT":
            ds.VOILUTSequence = lut([min(1023, v // 3) for v in range(4096)], 0, 10)
    return ds


@pytest.mark.peers
@pytest.mark.parametrize(
    "kind",
    [
        "several windows",
        "MONOCHROME1",
        "INVERSE",
        "SIGMOID",
        "modality LUT",
        "VOI LUT",
        "signed",
        "dirty",
        "rescaled",
    ],
)
def test_display_as_in_dcmtk(kind: str, tmp_path: Path) -> None:
    path = save(made(kind), tmp_path / "image.dcm")
    voi = {"VOI LUT": ["+Wl", "1"], "SIGMOID": ["+Wfs", "+Wi", "1"]}.get(kind, ["+Wi", "1"])
    assert np.abs(read_radiograph(path)[1].pixels - by_dcmtk(path, *voi)).max() < 2 / 255


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["several windows", "signed"])
@pytest.mark.parametrize(
    ("options", "syntax"),
    [
        (["dcmcjpeg", "+e1"], JPEGLosslessSV1),
        (["dcmcjpeg", "+el", "+sv", "4"], JPEGLossless),
        (["dcmcjpeg", "+el", "+sv", "7"], JPEGLossless),
        (["dcmcjpls", "+el"], JPEGLSLossless),
        (["dcmcrle"], RLELossless),
    ],
)
def test_what_dcmtk_encodes_without_loss(
    options: list[str], syntax: UID, kind: str, tmp_path: Path
) -> None:
    source, target = save(made(kind), tmp_path / "native.dcm"), tmp_path / "coded.dcm"
    subprocess.run([*options, str(source), str(target)], check=True, timeout=60)
    assert dcmread(target).file_meta.TransferSyntaxUID == syntax
    coded, native = read_radiograph(target)[1].pixels, read_radiograph(source)[1].pixels
    assert np.array_equal(coded, native)


@pytest.mark.peers
@pytest.mark.parametrize("options", [["+ee"], ["+ee", "+q", "50"], ["+eb"]])
def test_what_dcmtk_encodes_with_loss(options: list[str], tmp_path: Path) -> None:
    ds = made("several windows") if "+ee" in options else dataset(film(8))
    source, target = save(ds, tmp_path / "native.dcm"), tmp_path / "coded.dcm"
    subprocess.run(["dcmcjpeg", *options, str(source), str(target)], check=True, timeout=60)
    subprocess.run(["dcmdjpeg", str(target), str(source)], check=True, timeout=60)
    coded, by_dcmtk = read_radiograph(target)[1], read_radiograph(source)[1]
    assert np.array_equal(coded.pixels, by_dcmtk.pixels)
    assert "lossy source" in coded.notes


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small sound files of every family."""
    folder = tmp_path_factory.mktemp("encoded")
    files = {"native": dataset(film(12, 256, 256), 12)}
    for syntax in (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless):
        files[syntax] = compress(dataset(film(12, 256, 256), 12), syntax, folder)
    files[JPEGBaseline8Bit] = compress(dataset(film(8, 256, 256)), JPEGBaseline8Bit, folder)
    files[ExplicitVRLittleEndian] = made("modality LUT")
    files["voi"] = made("VOI LUT")
    return {name: save(ds, folder / "file.dcm").read_bytes() for name, ds in files.items()}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.integers(0, 7),
    places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6),
    masks=st.lists(st.integers(1, 255), min_size=6, max_size=6),
    in_header=st.booleans(),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_no_damage_raises_anything_else(
    which: int,
    places: list[float],
    masks: list[int],
    in_header: bool,
    cut: float | None,
    encoded: dict[str, bytes],
    tmp_path: Path,
) -> None:
    content = bytearray(list(encoded.values())[which])
    reach = 1500 if in_header else len(content)
    for place, mask in zip(places, masks, strict=False):
        content[132 + int(place * (reach - 132))] ^= mask
    if cut is not None:
        del content[int(cut * len(content)) :]
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content)
    try:
        _, radiograph = read_radiograph(path)
    except NotAnalysable as reason:
        assert str(reason)
    else:
        assert np.isfinite(radiograph.pixels).all()
        assert 0 <= radiograph.pixels.min() <= radiograph.pixels.max() <= 1
