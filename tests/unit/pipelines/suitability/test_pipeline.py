"""The gate: its words, its drawn pictures, its splits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import OperatingPoint
from dicom_node.domain.study import Orientation, Radiograph
from pipelines.serving.manifest import (
    Calibration,
    Constancy,
    InputSpec,
    ModelManifest,
    PhantomReference,
)
from pipelines.serving.session import Session
from pipelines.suitability import codes
from pipelines.suitability.cases import TEST_KINDS, read_frontals, read_others
from pipelines.suitability.pipeline import NAME, OUTPUTS, SuitabilityPipeline, load
from pipelines.suitability.synthetic import KINDS, picture

Answering = Callable[[dict[str, list[float]]], SuitabilityPipeline]
GOOD = {"frontal": [5.0], "turn": [0.97, 0.01, 0.01, 0.01], "inverted": [0.1]}


class FixedVerdict:
    """An engine that judges as it is told, and keeps what it saw."""

    def __init__(self, answers: dict[str, list[float]]) -> None:
        self.answers = answers
        self.seen: list[NDArray[np.float32]] = []

    def run(self, names: list[str], feeds: dict[str, NDArray[np.float32]]) -> list[object]:
        self.seen.append(feeds["image"])
        return [np.asarray([self.answers[name]], np.float32) for name in names]


@pytest.fixture
def judging(tmp_path: Path) -> Answering:
    """Make a gate whose network says what it is told to say."""
    manifest = ModelManifest(
        name=NAME,
        version="0.0.1",
        weights=tmp_path / "model.onnx",
        sha256="0" * 64,
        input=InputSpec("image", 64, 0.5, 0.5),
        outputs=OUTPUTS,
        labels={"frontal": codes.CODE},
        operating_points={
            name: OperatingPoint(name, 0.5, 1.0, 1.0)
            for name in (codes.FRONTAL, codes.UPRIGHT, codes.NOT_INVERTED)
        },
        default=codes.FRONTAL,
        urgent=codes.FRONTAL,
        calibration=Calibration(1.0, 0.0),
        validation="none",
        mask_threshold=0.5,
        constancy=Constancy(512, 512, 0.03, 400.0, (PhantomReference(1, "none", 0.0, 0.0),)),
        training_sources=("none",),
        licences=("none",),
    )
    return lambda answers: SuitabilityPipeline(
        manifest, Session(FixedVerdict(answers), "image", OUTPUTS, "fixed")
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"frontal": [-4.0]}, "not a frontal chest radiograph (p=0.02)"),
        ({"turn": [0.1, 0.8, 0.05, 0.05]}, "image is rotated by 90 degrees"),
        ({"turn": [0.1, 0.05, 0.8, 0.05]}, "image is rotated by 180 degrees"),
        ({"turn": [0.45, 0.05, 0.1, 0.4]}, "image is rotated by 270 degrees"),
        ({"inverted": [0.9]}, "grey levels are inverted"),
        ({"frontal": [-4.0], "inverted": [0.9]}, "not a frontal chest radiograph (p=0.02)"),
    ],
)
def test_the_reason_in_words(
    judging: Answering,
    noise: Radiograph,
    change: dict[str, list[float]],
    reason: str | None,
) -> None:
    findings = judging({**GOOD, **change}).read(noise)
    assert findings.not_analysed == reason
    assert findings.findings == ()
    assert findings.algorithm.name == NAME


def test_images_without_content_are_declined_not_raised(
    judging: Answering, noise: Radiograph
) -> None:
    for pixels in (
        np.full((300, 300), 0.4, np.float32),
        np.zeros((20, 300), np.float32),
        np.full((300, 300), np.nan, np.float32),
    ):
        assert judging(GOOD).read(replace(noise, pixels=pixels)).not_analysed


def test_the_header_orientation_is_applied_first(judging: Answering, noise: Radiograph) -> None:
    ramp = np.linspace(0, 1, 300, dtype=np.float32)[:, None].repeat(300, axis=1)
    gate = judging(GOOD)
    gate.read(replace(noise, pixels=ramp))
    gate.read(replace(noise, pixels=ramp[::-1], orientation=Orientation("L", "H")))
    first, second = gate.session.engine.seen
    assert np.allclose(first, second)


def test_drawn_pictures_differ_and_have_contrast() -> None:
    draw = np.random.default_rng(5)
    pictures = [picture(64, draw) for _ in range(3 * len(KINDS))]
    for one in pictures:
        assert one.shape == (64, 64)
        assert np.ptp(one) > 100
    assert len({one.tobytes() for one in pictures}) == len(pictures)
    again = np.random.default_rng(5)
    assert (picture(64, again) == pictures[0]).all()


def test_every_kind_can_be_drawn() -> None:
    for make in set(KINDS):
        drawn = make(48, np.random.default_rng(1))
        assert drawn.shape == (48, 48)
        assert np.isfinite(drawn).all()


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=NAME):
        load(tmp_path)


@pytest.mark.data
def test_splits_share_no_patient_and_no_dicom_picture_trains(shared: Path) -> None:
    chests = read_frontals(shared)
    patients = {
        split: {c.patient_id for c in chests if c.split == split}
        for split in ("train", "val", "test")
    }
    assert all(patients.values())
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["val"]
    others = read_others(shared)
    assert len(others) == 84
    learning = [case for case in others if case.split == "train"]
    assert 25 < len(learning) < 42
    assert not {case.kind for case in learning} & set(TEST_KINDS)
    assert {case.kind for case in others if case.split == "test"} == {c.kind for c in others}
