"""Weights are served only as the manifest vouches for them."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.serving.manifest import ModelManifest, load_manifest
from pipelines.serving.session import open_session, sha256_of
from tests.support.paths import ROOT


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


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from dicom_node.domain.errors import TryAgain
from pipelines.serving.manifest import load_manifest
from pipelines.serving.session import open_session

def leave(megabytes):
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (megabytes << 20), -1))

manifest = load_manifest(Path(sys.argv[1]))
session = open_session(manifest, "cpu", threads=1)
films = np.zeros((24, 1, manifest.input.size, manifest.input.size), np.float32)
leave(100)
try:
    session.run(films)
except MemoryError as error:
    print("run:", error)
leave(2)
try:
    open_session(manifest, "cpu", threads=1)
except TryAgain as error:
    print("open:", str(error).rpartition(": ")[2])
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print("again:", session.run(films[:1])["presence"].shape)
"""


def test_too_little_memory_is_told_from_other_errors(manifest: ModelManifest) -> None:
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(manifest.weights.parent)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines() == [
        "run: the engine found too little memory",
        "open: too little memory to load it",
        "again: (1, 1)",
    ], ended.stderr[-1000:]
