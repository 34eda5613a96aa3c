"""An int8 variant is written when it may be, and only then."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.domain.errors import BadSettings
from pipelines.phantom.chest import chest_phantom
from pipelines.pneumothorax.pipeline import load
from pipelines.serving.manifest import load_manifest

pytest.importorskip("torch", reason="training needs dicom-node[train]")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Labelled images in two class folders, and a small model."""
    from pipelines.pneumothorax.train import train

    top = tmp_path_factory.mktemp("quantize")
    for number in range(40):
        condition = "right" if number % 2 else "none"
        phantom = chest_phantom(number, condition, rows=128, columns=128)
        folder = top / "data" / ("Pneumothorax" if number % 2 else "Normal")
        folder.mkdir(parents=True, exist_ok=True)
        grey = np.rint(phantom.display() * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{number}.png")
    words = ["--size", "64", "--steps", "1", "--threads", "1", "--phantoms", "8"]
    assert train(["--out", str(top / "run"), *words]) == 0
    return top / "data", top / "run" / "models"


def words(folders: tuple[Path, Path], out: Path, margin: str) -> list[str]:
    data, models = map(str, folders)
    where = ["--data", data, "--models", models, "--out", str(out)]
    return ["pneumothorax", *where, "--margin", margin]


def test_a_variant_within_the_margin_is_a_model_folder_that_says_what_it_cost(
    folders: tuple[Path, Path],
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.tools import quantize

    monkeypatch.setattr(quantize, "LEAST_GAIN", 0.0)  # a busy machine tells nothing of speed
    monkeypatch.setattr(quantize, "CALIBRATING", 12)
    shipped = (folders[0], models_dir)
    assert quantize.quantize(words(shipped, tmp_path / "out", "1")) == 0
    told, before = (load_manifest(one / "pneumothorax") for one in (tmp_path / "out", models_dir))
    assert told.version == f"{before.version}+int8"
    assert told.sha256 != before.sha256
    assert told.weights.stat().st_size < 0.5 * before.weights.stat().st_size
    table = tomllib.loads((tmp_path / "out" / "pneumothorax" / "model.toml").read_text())["variant"]
    assert table["of_sha256"] == before.sha256
    assert len(table["validation"]["auc"]) == 2
    assert all(check.ok for check in load(tmp_path / "out", "cpu").verify())
    with pytest.raises(BadSettings, match="not empty"):
        quantize.quantize(words(shipped, tmp_path / "out", "1"))


def test_a_variant_that_is_worse_is_not_written(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.tools import quantize

    assert quantize.quantize(words(folders, tmp_path / "out", "-2")) == 1
    assert "nothing written: auc falls by more than the margin" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_variant_that_is_not_faster_is_not_written(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pipelines.tools import quantize

    monkeypatch.setattr(quantize, "LEAST_GAIN", 1000.0)
    assert quantize.quantize(words(folders, tmp_path / "out", "1")) == 1
    assert "times as fast here, less than 1000" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
