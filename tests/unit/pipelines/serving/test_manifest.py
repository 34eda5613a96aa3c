"""model.toml: what is accepted, and how errors read."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.release.contract import write_manifest
from pipelines.serving.manifest import Calibration, Member, load_manifest


def changed(models_dir: Path, folder: Path, old: str, new: str) -> Path:
    """Copy the shipped manifest with one thing changed."""
    text = (models_dir / "pneumothorax" / "model.toml").read_text()
    assert old in text
    (folder / "model.toml").write_text(text.replace(old, new, 1))
    return folder


def test_the_shipped_manifest(models_dir: Path) -> None:
    manifest = load_manifest(models_dir / "pneumothorax")
    assert manifest.name == "pneumothorax"
    assert manifest.labels["presence"].value == "36118008"
    assert set(manifest.operating_points) == {"high_sensitivity", "balanced", "high_specificity"}
    sensitive = manifest.operating_points["high_sensitivity"]
    specific = manifest.operating_points["high_specificity"]
    assert sensitive.threshold < specific.threshold
    assert sensitive.sensitivity >= specific.sensitivity
    assert manifest.urgent_operating_point.threshold >= manifest.default_operating_point.threshold
    assert manifest.training_sources
    assert any("Kaggle" in licence for licence in manifest.licences)
    conditions = {reference.condition for reference in manifest.constancy.references}
    assert conditions == {"none", "right", "left"}


@pytest.mark.parametrize("task", ["pneumothorax", "anatomy", "suitability"])
def test_what_is_written_is_read_back(models_dir: Path, tmp_path: Path, task: str) -> None:
    shipped = load_manifest(models_dir / task)
    member = Member(tmp_path / "member-2.onnx", "a" * 64, (shipped.calibration,))
    manifest = replace(shipped, weights=tmp_path / "model.onnx", members=(member,))
    write_manifest(tmp_path, manifest)
    assert load_manifest(tmp_path) == manifest
    released, written = (
        tomllib.loads((folder / "model.toml").read_text())
        for folder in (models_dir / task, tmp_path)
    )
    del written["members"]
    assert written == released


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "pneumothorax"\n', "", "name is missing"),
        ("size = 320", "size = 333", "input.size is 333, not a multiple of 32"),
        ("mask_threshold = 0", "mask_threshold = 7", "mask_threshold is 7"),
        ('sha256 = "', 'sha256 = "X', "sha256 must be 64 hexadecimal digits"),
        ('weights = "', 'weights = "../', "weights must be a file beside"),
        ('urgent_operating_point = "high', 'urgent_operating_point = "low', "known are balanced"),
        ('method = "platt"', 'method = "guess"', "calibration.method must be 'platt'"),
        ("[calibration]", "[calibrations]", "calibration is missing"),
        ("seed = 1\n", 'seed = "one"\n', "phantom.references[0].seed must be a number"),
        ("version = ", "version == ", "not valid TOML"),
    ],
)
def test_errors_name_file_and_key(
    models_dir: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    folder = changed(models_dir, tmp_path, old, new)
    with pytest.raises(BadSettings) as caught:
        load_manifest(folder)
    assert words in str(caught.value)
    assert str(folder / "model.toml") in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no such file"):
        load_manifest(tmp_path / "nowhere")


def test_calibration_stays_a_probability() -> None:
    curve = Calibration(2.0, -1.0)
    assert curve.probability(0.5) == pytest.approx(0.5)
    assert curve.probability(1e9) == 1.0
    assert curve.probability(-1e9) == pytest.approx(0.0)
