"""The eight findings: answers told by a fake network, and the shipped one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain import codes
from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.findings import Finding, Presence, Side
from dicom_node.domain.study import Orientation, Radiograph
from pipelines.anatomy import pipeline as anatomy
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.head import Head
from pipelines.chest_findings.pipeline import head_on
from pipelines.chest_findings.reading import SharedModel
from pipelines.phantom.chest import Phantom, chest_phantom
from pipelines.serving.labelled import load_labelled
from pipelines.serving.session import Session
from tests.support.readings import REF

Film = Callable[[Phantom], Radiograph]
Told = dict[str, tuple[int, int]]
"""Present findings: the top left cell of an 8 x 4 plateau in a 28 cell map."""


class FixedScores:
    """An engine that says that some findings are present, and where."""

    def __init__(self, told: Told) -> None:
        self.scores = np.full((1, len(SCORES)), -30.0, np.float32)
        self.maps = np.full((1, len(MAPPED), 28, 28), 0.01, np.float32)
        for name, (top, left) in told.items():
            self.scores[0, SCORES.index(name)] = 30.0
            self.maps[0, MAPPED.index(name), top : top + 8, left : left + 4] = 0.9

    def run(self, names: list[str], _: dict[str, NDArray[np.float32]]) -> list[object]:
        """Answer for the film and for its mirror image."""
        maps = np.concatenate([self.maps, self.maps[..., ::-1]])
        told = {"scores": self.scores.repeat(2, axis=0), "maps": maps}
        return [told[name] for name in names]


@pytest.fixture(scope="module")
def telling(models_dir: Path) -> Callable[[Told], Head]:
    manifest = replace(load_labelled(models_dir / "chest_findings"), map_fraction=0.4)

    def make(told: Told) -> Head:
        session = Session(FixedScores(told), "image", manifest.outputs, "fixed")
        return head_on(SharedModel(manifest, session))

    return make


Telling = Callable[[Told], Head]


def by_code(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.code.meaning: finding for finding in findings}


def test_all_eight_are_told_absent_ones_too(telling: Telling, noise: Radiograph) -> None:
    found = telling({"Mass": (4, 6)}).read(noise)
    told = by_code(found.findings)
    assert len(told) == 8
    assert told["Mass"].presence is Presence.PRESENT
    assert told["Mass"].probability > 0.95
    assert len(told["Mass"].boxes) == 1
    for name, finding in told.items():
        if name != "Mass":
            assert finding.presence is Presence.ABSENT
            assert finding.boxes == ()
            assert finding.side is Side.UNDETERMINED
    assert told["Pleural effusion"].site == codes.PLEURA
    assert told["Cardiomegaly"].site == codes.HEART
    assert any("coarse" in note for note in found.notes)


@pytest.mark.parametrize(
    ("turn", "x", "y"),
    [(("L", "F"), 86, 43), (("R", "F"), 257, 43), (("L", "H"), 86, 171)],
)
def test_a_box_lies_where_the_map_says_and_on_the_patients_side(
    telling: Telling, noise: Radiograph, turn: tuple[str, str], x: float, y: float
) -> None:
    film = replace(noise, orientation=Orientation(*turn))
    told = by_code(telling({"Nodule": (4, 6)}).read(film).findings)
    (box,) = told["Nodule"].boxes
    assert (box.x, box.y) == pytest.approx((x, y), abs=3)
    assert (box.width, box.height) == pytest.approx((57, 86), abs=5)
    assert told["Nodule"].side is Side.RIGHT


def test_sides(telling: Telling, noise: Radiograph) -> None:
    told = by_code(telling({"Effusion": (14, 22), "Cardiomegaly": (14, 16)}).read(noise).findings)
    assert told["Pleural effusion"].side is Side.LEFT
    assert told["Cardiomegaly"].side is Side.UNDETERMINED
    bare = telling({"Effusion": (14, 22)}).read(replace(noise, orientation=None))
    assert by_code(bare.findings)["Pleural effusion"].side is Side.UNDETERMINED
    assert any("the side is undetermined" in note for note in bare.notes)
    pipeline = telling({"Effusion": (14, 22)})
    pipeline.model.session.engine.maps[0, MAPPED.index("Effusion"), 14:22, 2:6] = 0.9
    both = by_code(pipeline.read(noise).findings)["Pleural effusion"]
    assert both.side is Side.BOTH
    assert len(both.boxes) == 2


def test_images_without_content_are_not_analysed(telling: Telling, noise: Radiograph) -> None:
    for pixels in (
        np.full((300, 300), 0.4, np.float32),
        np.zeros((20, 300), np.float32),
        np.full((300, 300), np.nan, np.float32),
    ):
        with pytest.raises(NotAnalysable):
            telling({}).read(replace(noise, pixels=pixels))


@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F"), ("F", "L")])
def test_a_box_outside_the_rib_cage_is_doubted(
    telling: Telling, models_dir: Path, turn: tuple[str, str]
) -> None:
    phantom = chest_phantom(8, rows=512, columns=448)
    orientation = Orientation(*turn)
    pixels = orientation.from_standard(phantom.display())
    film = Radiograph(np.ascontiguousarray(pixels, np.float32), REF, None, orientation, "PA")
    outlines = anatomy.load(models_dir, "cpu")
    for place, doubted in (((10, 5), False), ((0, 0), True)):
        reader = replace(telling({"Mass": place}), anatomy=outlines)
        notes = reader.read(replace(film)).notes
        assert any("box of mass lies outside" in note for note in notes) is doubted
        assert not any("outside" in n for n in telling({"Mass": place}).read(replace(film)).notes)
