"""Two of the shipped models that answer as one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings import pipeline as chest_findings
from pipelines.phantom.chest import Phantom, chest_phantom
from pipelines.pneumothorax import pipeline as pneumothorax
from pipelines.serving.ensemble import digest_of
from pipelines.serving.manifest import load_manifest


def _with_member(models_dir: Path, task: str, folder: Path, labels: int) -> Path:
    """Copy a task's model and let the same weights, differently calibrated, answer too."""
    target = folder / task
    shutil.copytree(models_dir / task, target)
    shutil.copy(target / "model.onnx", target / "member-2.onnx")
    sha256 = load_manifest(target).sha256 if labels == 1 else _digest(target)
    with (target / "model.toml").open("a") as contract:
        contract.write(
            f'\n[[members]]\nweights = "member-2.onnx"\nsha256 = "{sha256}"\n'
            f"slopes = {[1.0] * labels}\nintercepts = {[-6.0] * labels}\n"
        )
    return folder


def _digest(folder: Path) -> str:
    lines = (folder / "model.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("sha256"))


def test_two_models_of_one_task_read_together(
    models_dir: Path, tmp_path: Path, film: Callable[[Phantom], Radiograph]
) -> None:
    radiograph = film(chest_phantom(5, "right", rows=512, columns=512))
    folder = _with_member(models_dir, "pneumothorax", tmp_path, 1)
    alone = pneumothorax.load(models_dir, "cpu").read(radiograph)
    both = pneumothorax.load(folder, "cpu").read(radiograph)
    (one,), (mean,) = alone.findings, both.findings
    assert one.uncertainty is None
    assert mean.uncertainty is not None
    # two values deviate from their mean by half their difference
    assert abs(mean.probability - one.probability) == pytest.approx(mean.uncertainty, abs=0.02)
    assert mean.uncertainty > 0.01
    assert one.segment is not None and mean.segment is not None
    assert np.array_equal(one.segment.mask, mean.segment.mask)
    assert alone.algorithm.model_sha256 != both.algorithm.model_sha256
    assert both.algorithm.model_sha256 == digest_of(load_manifest(folder / "pneumothorax"))


def test_every_label_of_an_ensemble_has_its_own_uncertainty(
    models_dir: Path, tmp_path: Path, noise: Radiograph
) -> None:
    both = chest_findings.load(_with_member(models_dir, "chest_findings", tmp_path, 8), "cpu")
    alone = chest_findings.load(models_dir, "cpu").read(replace(noise))
    for one, mean in zip(alone.findings, both.read(replace(noise)).findings, strict=True):
        assert mean.uncertainty == pytest.approx(abs(mean.probability - one.probability), abs=0.02)


def test_a_member_that_does_not_fit_is_refused(models_dir: Path, tmp_path: Path) -> None:
    folder = _with_member(models_dir, "chest_findings", tmp_path, 3)
    with pytest.raises(BadSettings, match="3 calibrations for 8 labels"):
        chest_findings.load(folder, "cpu")
    (folder / "chest_findings" / "member-2.onnx").write_bytes(b"other weights")
    with pytest.raises(BadSettings, match="SHA-256"):
        chest_findings.load(folder, "cpu")
