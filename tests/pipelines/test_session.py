"""Weights are served only as the manifest vouches for them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.manifest import ModelManifest, load_manifest
from pipelines.session import open_session, sha256_of


@pytest.fixture
def manifest(models_dir: Path) -> ModelManifest:
    return load_manifest(models_dir / "pneumothorax")


def test_outputs_and_batches(manifest: ModelManifest) -> None:
    session = open_session(manifest, "cpu", threads=1)
    assert session.device == "cpu"
    size = manifest.input.size
    image = np.random.default_rng(0).random((2, 1, size, size), np.float32) * 2 - 1
    both = session.run(image)
    assert both["mask"].shape == (2, 1, size, size)
    assert both["presence"].shape == (2, 1)
    assert 0 <= both["mask"].min() <= both["mask"].max() <= 1
    alone = session.run(image[1:])
    assert np.allclose(both["mask"][1:], alone["mask"], atol=1e-4)
    assert np.allclose(both["presence"][1:], alone["presence"], atol=1e-3)


def test_altered_weights_are_refused(manifest: ModelManifest, tmp_path: Path) -> None:
    altered = tmp_path / "model.onnx"
    shutil.copy(manifest.weights, altered)
    with altered.open("r+b") as file:
        file.seek(-200, 2)
        byte = file.read(1)
        file.seek(-200, 2)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BadSettings, match="SHA-256"):
        open_session(replace(manifest, weights=altered))


def test_other_networks_are_refused(manifest: ModelManifest, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="'depth'"):
        open_session(replace(manifest, outputs=("mask", "depth")))
    text = tmp_path / "model.onnx"
    text.write_text("no network")
    with pytest.raises(BadSettings, match="not a usable network"):
        open_session(replace(manifest, weights=text, sha256=sha256_of(text)))
    with pytest.raises(BadSettings, match="cannot be read"):
        open_session(replace(manifest, weights=tmp_path / "absent.onnx"))


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", ""])
def test_unknown_devices_are_named(manifest: ModelManifest, device: str) -> None:
    with pytest.raises(BadSettings, match="use auto, cpu, cuda or cuda:N"):
        open_session(manifest, device)
