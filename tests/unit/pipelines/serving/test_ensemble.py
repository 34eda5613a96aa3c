"""Several models of one task: mean, disagreement, identity."""

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
from pipelines.serving.ensemble import SPREAD, Columns, Ensemble, digest_of
from pipelines.serving.manifest import Calibration, load_manifest
from pipelines.serving.session import Session


class Fixed:
    """An engine that always gives the same logits and map."""

    def __init__(self, logits: list[float], level: float) -> None:
        self.answers = {
            "scores": np.array([logits], np.float32),
            "map": np.full((1, 2, 2), level, np.float32),
        }

    def run(self, names: list[str], _: object) -> list[object]:
        """Answer as told."""
        return [self.answers[name].copy() for name in names]


def session(logits: list[float], level: float) -> Session:
    return Session(Fixed(logits, level), "image", ("scores", "map"), "fixed")


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_the_mean_of_the_calibrated_probabilities_comes_as_the_leads_logit() -> None:
    own, other = Calibration(2.0, 1.0), Calibration(0.5, -1.0)
    lead = session([9.0, (logit(0.9) - 1.0) / 2.0], 0.2)
    second = session([5.0, (logit(0.3) + 1.0) / 0.5], 0.6)
    columns = Columns("scores", (1,), (own,))
    both = Ensemble(lead, columns, ((second, replace(columns, calibrations=(other,))),))
    told = both.run(np.zeros((1, 1, 4, 4), np.float32))
    assert own.probability(float(told["scores"][0, 1])) == pytest.approx(0.6, abs=1e-5)
    assert told[SPREAD][0, 1] == pytest.approx(0.3, abs=1e-5)
    assert (told["scores"][0, 0], told[SPREAD][0, 0]) == (7.0, 0.0)  # not calibrated: a plain mean
    assert told["map"][0, 0, 0] == pytest.approx(0.4)
    assert both.device == "fixed, 2 models"


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
