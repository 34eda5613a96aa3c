"""The anatomy pipeline: geometry with a known map, and a few steps of training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.codes import MILLIMETRE, PIXELS
from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.findings import OperatingPoint, Presence
from dicom_node.domain.study import Orientation, Radiograph, Spacing
from pipelines.anatomy import codes
from pipelines.anatomy.pipeline import NAME, AnatomyPipeline, load
from pipelines.serving.manifest import (
    Calibration,
    Constancy,
    InputSpec,
    ModelManifest,
    PhantomReference,
)
from pipelines.serving.session import Session
from tests.support.readings import named, only

SIZE = 64
Regions = NDArray[np.float32]
Answering = Callable[[Regions], AnatomyPipeline]


class FixedRegions:
    """An engine that always outlines the same."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions

    def run(self, names: list[str], feeds: dict[str, NDArray[np.float32]]) -> list[object]:
        return [self.regions[None] for _ in names]


@pytest.fixture
def telling(tmp_path: Path) -> Answering:
    """Make a pipeline whose network says what it is told to say."""
    manifest = ModelManifest(
        name=NAME,
        version="0.0.1",
        weights=tmp_path / "model.onnx",
        sha256="0" * 64,
        input=InputSpec("image", SIZE, 0.5, 0.5),
        outputs=("regions",),
        labels={"cardiomegaly": codes.CODE},
        operating_points={codes.POINT: OperatingPoint(codes.POINT, 0.5, 0.7, 0.8)},
        default=codes.POINT,
        urgent=codes.POINT,
        calibration=Calibration(20.0, -10.0),
        validation="none",
        mask_threshold=0.5,
        constancy=Constancy(512, 512, 0.03, 400.0, (PhantomReference(1, "none", 0.0, 0.0),)),
        training_sources=("none",),
        licences=("none",),
    )
    return lambda regions: AnatomyPipeline(
        manifest,
        Session(FixedRegions(regions), "image", ("regions",), "fixed"),
    )


def regions(heart_columns: tuple[int, int] = (24, 42)) -> Regions:
    """Lungs from column 8 to 56 of 64, a heart between the given columns."""
    shares = np.zeros((3, SIZE, SIZE), np.float32)
    shares[0, 16:48, 8:28] = 1.0
    shares[1, 16:52, 36:56] = 1.0
    shares[2, 32:48, slice(*heart_columns)] = 1.0
    return shares


@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F"), ("L", "H"), ("F", "L"), ("H", "R")])
def test_the_lines_are_as_long_as_the_measurements(
    telling: Answering, noise: Radiograph, turn: tuple[str, str]
) -> None:
    film = replace(noise, orientation=Orientation(*turn), spacing=Spacing(0.5, 1.5))
    finding = only(telling(regions()), film)
    assert named(finding, codes.RATIO_NAME).value == pytest.approx(18 / 48)
    across = 400 * 1.5 if turn[0] in "LR" else 300 * 0.5
    for name, cells in ((codes.HEART_NAME, 18), (codes.THORAX_NAME, 48)):
        one = named(finding, name)
        assert one.line is not None
        (row, column), (other_row, other_column) = one.line
        along = np.hypot((row - other_row) * 0.5, (column - other_column) * 1.5)
        assert one.value == pytest.approx(along)
        assert one.value == pytest.approx(across * cells / SIZE)
        assert one.unit == MILLIMETRE
    film_mm2 = 300 * 400 * 0.75
    assert named(finding, codes.RIGHT_NAME).value == pytest.approx(film_mm2 * 640 / SIZE**2)
    assert named(finding, codes.LEFT_NAME).value == pytest.approx(film_mm2 * 720 / SIZE**2)


@pytest.mark.parametrize(
    ("view", "columns", "presence"),
    [
        ("PA", (24, 42), Presence.ABSENT),
        ("PA", (20, 50), Presence.PRESENT),
        ("AP", (20, 50), Presence.UNDETERMINED),
        ("", (24, 42), Presence.UNDETERMINED),
    ],
)
def test_only_a_pa_view_is_judged(
    telling: Answering,
    noise: Radiograph,
    view: str,
    columns: tuple[int, int],
    presence: Presence,
) -> None:
    findings = telling(regions(columns)).read(replace(noise, view_position=view))
    (finding,) = findings.findings
    assert finding.presence is presence
    assert not finding.urgent
    assert (codes.NOT_PA in findings.notes) == (view != "PA")


def test_without_spacing_diameters_are_in_pixels(telling: Answering, noise: Radiograph) -> None:
    finding = only(telling(regions()), replace(noise, spacing=None))
    assert named(finding, codes.HEART_NAME).unit == PIXELS
    assert named(finding, codes.HEART_NAME).value == pytest.approx(400 * 18 / SIZE)
    assert len(finding.measurements) == 3


@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F"), ("F", "L")])
def test_masks_come_in_stored_pixels(
    telling: Answering, noise: Radiograph, turn: tuple[str, str]
) -> None:
    orientation = Orientation(*turn)
    anatomy = telling(regions()).read_anatomy(replace(noise, orientation=orientation))
    assert anatomy.right_lung.shape == noise.pixels.shape
    standard = orientation.to_standard(anatomy.right_lung)
    rows, columns = standard.shape
    expected = np.zeros(standard.shape, np.bool_)
    expected[rows // 4 : rows * 3 // 4, columns // 8 : columns * 28 // 64] = True
    assert 2 * (standard & expected).sum() / (standard.sum() + expected.sum()) > 0.96
    assert not (anatomy.right_lung & anatomy.left_lung).any()
    assert anatomy.heart.mean() == pytest.approx(18 * 16 / SIZE**2, rel=0.1)
    assert anatomy.ratio == pytest.approx(18 / 48)
    assert anatomy.heart_line is not None
    assert anatomy.thorax_line is not None


def test_nothing_outlined_is_not_analysed(telling: Answering, noise: Radiograph) -> None:
    with pytest.raises(NotAnalysable, match="cannot be outlined"):
        telling(np.zeros((3, SIZE, SIZE), np.float32)).read(noise)
    with pytest.raises(NotAnalysable, match="contrast"):
        telling(regions()).read(replace(noise, pixels=np.full((300, 300), 0.4, np.float32)))


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=NAME):
        load(tmp_path)
