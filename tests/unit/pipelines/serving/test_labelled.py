"""model.toml with several labels: round trip, and how errors read."""

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.release.contract import write_manifest
from pipelines.serving.labelled import load_labelled


def test_what_is_written_is_read_back(models_dir: Path, tmp_path: Path) -> None:
    manifest = load_labelled(models_dir / "pneumonia")
    write_manifest(tmp_path / "pneumonia", manifest, "../chest_findings/model.onnx")
    again = load_labelled(tmp_path / "pneumonia")
    assert replace(again, weights=manifest.weights) == manifest
    assert again.weights == tmp_path / "pneumonia" / "../chest_findings/model.onnx"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('weights = "../chest', 'weights = "../../chest', "must be a file beside model.toml"),
        ('default_operating_point = "balanced"', 'default_operating_point = "x"', "known are"),
        ("probabilities = [", "probabilities = [0.5, ", "one per label"),
        ("column = ", "column = -", "outside 0 to"),
        ('meaning = "Pneumonia"', "", "meaning is missing"),
    ],
)
def test_errors_name_file_and_key(
    models_dir: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (models_dir / "pneumonia" / "model.toml").read_text()
    assert old in text
    (tmp_path / "model.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(BadSettings, match=words) as caught:
        load_labelled(tmp_path)
    assert str(tmp_path / "model.toml") in str(caught.value)


def test_a_view_may_have_a_calibration_of_its_own(models_dir: Path, tmp_path: Path) -> None:
    manifest = load_labelled(models_dir / "abnormality")
    (label,) = manifest.labels
    known = replace(label, view_intercepts={"AP": label.calibration.intercept + 1})
    write_manifest(tmp_path, replace(manifest, labels=(known,)))
    (found,) = load_labelled(tmp_path).labels
    assert found.calibration_of("") == found.calibration_of("PA") == label.calibration
    assert found.calibration_of("ap").intercept == pytest.approx(label.calibration.intercept + 1)
    assert found.calibration_of("AP").probability(0.0) > label.calibration.probability(0.0)
