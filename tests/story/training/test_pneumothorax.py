"""A few steps of training give a model folder that serves."""

import json
from pathlib import Path

import pytest

from pipelines.pneumothorax.cases import read_cases
from pipelines.pneumothorax.pipeline import load

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--steps", "2", "--size", "64", "--judge-every", "1", "--threads", "1"]


def events(out: Path, name: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def test_phantoms_alone_train_a_model_that_loads_and_resumes(tmp_path: Path) -> None:
    from pipelines.pneumothorax.train import train

    assert train(["--out", str(tmp_path), "--phantoms", "20", *FEW]) == 0
    assert [line["step"] for line in events(tmp_path, "judged")] == [1, 2]
    pipeline = load(tmp_path / "models", "cpu")
    assert all(check.ok for check in pipeline.verify())
    more = ["--out", str(tmp_path), "--phantoms", "20", *FEW, "--steps", "3", "--resume"]
    assert train(more) == 0
    assert [line["step"] for line in events(tmp_path, "judged")] == [1, 2, 3]


def test_augmentation_moves_image_and_mask_together() -> None:
    from pipelines.training.augment import warp

    random = torch.Generator().manual_seed(0)
    masks = torch.zeros(8, 1, 96, 96)
    masks[:, :, 30:50, 20:40] = 1
    images, moved = warp(masks.clone(), masks, 80, random)
    assert images.shape == moved.shape == (8, 1, 80, 80)
    assert ((images - moved).abs() < 0.51).all()
    assert len({float(mask.sum()) for mask in moved}) > 1


@pytest.mark.data
def test_real_radiographs_train_too(shared: Path, tmp_path: Path) -> None:
    from pipelines.pneumothorax import train as training
    from pipelines.pneumothorax.judging import judge
    from pipelines.pneumothorax.network import PneumothoraxNet
    from pipelines.training.trunk import load_imagenet

    cases = [case for case in read_cases(shared) if case.split == "train" and not case.small]
    chosen = [case for case in cases if case.mask is not None][:6] + cases[:6]
    arrays = training.decode(chosen, 0, 192, seed=0)
    assert arrays.masks[:6].reshape(6, -1).any(axis=1).all()
    assert arrays.labels[:6, 0].all()
    network = PneumothoraxNet(13)
    load_imagenet(network.encoder, shared / "weights" / "mobilenet_v2_imagenet.npz")
    marks = judge(network, arrays)
    assert 0 <= marks["auc"] <= 1


def test_the_presence_may_listen_to_the_mask() -> None:
    from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet, evidence

    small, large = torch.full((2, 1, 32, 32), -5.0).chunk(2)
    small[..., :4, :4] = 5
    large[..., :16, :16] = 5
    assert evidence(torch.full((1, 1, 32, 32), -5.0)) < evidence(small) < evidence(large)
    network = PneumothoraxNet(13).eval()
    film = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        mask, presence = network(film)
        _, told = ServedNet(network, 0.5)(film)
    assert torch.allclose(told, presence[:, :1] + 0.5 * evidence(mask))
