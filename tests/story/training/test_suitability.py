"""A few steps of training give a gate that serves."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.suitability.pipeline import load

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--size", "64", "--phantoms", "4", "--judge-every", "1", "--threads", "1"]


def test_phantoms_alone_train_a_gate_that_loads(tmp_path: Path) -> None:
    from pipelines.suitability.train import train

    assert train(["--out", str(tmp_path), "--steps", "1", *FEW]) == 0
    assert all(check.ok for check in load(tmp_path / "models", "cpu").verify())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "judged"] == [1]


def test_turning_is_counterclockwise_and_inverting_flips_grey() -> None:
    from pipelines.suitability.train import turned

    image = torch.rand(1, 8, 8)
    images = image.repeat(4, 1, 1, 1)
    found = turned(images, torch.arange(4), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    for quarter in range(3):
        assert (found[quarter, 0].numpy() == np.rot90(image[0].numpy(), quarter)).all()
    assert np.allclose(found[3, 0].numpy(), 1 - np.rot90(image[0].numpy(), 3))


def test_a_corrupted_chest_is_no_longer_the_image() -> None:
    from pipelines.suitability.corruption import corrupt

    images = torch.rand(12, 1, 48, 48)
    found = corrupt(images, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    assert (found - images).abs().mean(dim=(1, 2, 3)).min() > 0.02
    assert corrupt(images[:0], torch.Generator()).shape == (0, 1, 48, 48)


def test_a_batch_says_what_is_true_of_its_images() -> None:
    from pipelines.suitability import train as training

    arrays = training.decode(None, "train", 3, 64, seed=0)
    batch = training.assemble(
        arrays, 64, np.random.default_rng(0), torch.Generator().manual_seed(0)
    )
    assert batch.images.shape[1:] == (1, 64, 64)
    assert float(batch.frontal.sum()) == training.FRONTALS
    assert float(batch.images.amin()) >= 0
    assert float(batch.images.amax()) <= 1
    assert set(batch.turn.tolist()) == {0, 1, 2, 3}
