"""A few steps of training give three model folders that serve."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Presence
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph
from pipelines.chest_findings import pipeline as chest_findings
from pipelines.chest_findings.cases import BoxLabel, Case, mined_labels, read_cases
from pipelines.chest_findings.codes import SCORES
from pipelines.chest_findings.heads import abnormality, paediatric, pneumonia
from pipelines.datasets.truth import Reading
from pipelines.phantom.chest import chest_phantom

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--steps", "2", "--size", "64", "--threads", "1", "--phantoms", "8", "--judge-every", "1"]


def judged(out: Path) -> list[int]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["event"] == "judged"]


def test_phantoms_alone_train_models_that_load_and_resume(tmp_path: Path) -> None:
    from pipelines.chest_findings.train import train

    assert train(["--out", str(tmp_path), *FEW]) == 0
    assert judged(tmp_path) == [1, 2]
    film = Radiograph(
        chest_phantom(5, "right", rows=256, columns=256).display(),
        InstanceRef("1.2", "1.2.3"),
        orientation=Orientation("L", "F"),
    )
    for task, findings in ((chest_findings, 8), (pneumonia, 1), (abnormality, 1), (paediatric, 1)):
        pipeline = task.load(tmp_path / "models", "cpu")
        assert all(check.ok for check in pipeline.verify())
        read = pipeline.read(film).findings
        assert len(read) == findings
        assert all(one.presence is not Presence.UNDETERMINED for one in read)
    assert train(["--out", str(tmp_path), *FEW, "--steps", "4", "--resume"]) == 0
    assert judged(tmp_path)[-1] == 4


def test_a_manifest_without_its_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="chest_findings"):
        chest_findings.load(tmp_path)


def test_children_are_cropped_so_that_all_are_squeezed_alike() -> None:
    """Whatever a file's aspect was, what is kept of it has a random one."""
    from pipelines.chest_findings.arrays import _crops

    random = torch.Generator().manual_seed(0)
    for aspect in (1.2, 1.5):
        kept = _crops(torch.full((2000,), aspect), random)
        assert (kept <= 1).all()
        assert torch.allclose(kept.max(dim=1).values, torch.ones(2000))
        left = aspect * kept[:, 0] / kept[:, 1]
        assert float(left.log().mean()) == pytest.approx(np.log(1.7) / 2, abs=0.02)
    adults = _crops(torch.ones(10), random)
    assert (adults == 1).all()


def test_boxes_move_with_their_image() -> None:
    from pipelines.chest_findings.arrays import GRID, SOURCES, TrainingArrays, batch
    from pipelines.chest_findings.codes import MAPPED

    image = np.zeros((96, 96), np.uint8)
    image[24:48, 60:84] = 255
    box = BoxLabel("Mass", 60 / 96, 24 / 96, 24 / 96, 24 / 96)
    arrays = TrainingArrays(
        np.stack([image] * 6),
        np.full((6, 16), np.nan, np.float32),
        np.zeros((6, 16), np.float32),
        np.zeros((6, 16), np.float32),
        np.full((6, 16), np.nan, np.float32),
        np.ones(6),
        np.full(6, SOURCES.index("full")),
        np.ones(6, np.float32),
        dict.fromkeys(range(6), (box,)),
        {},
    )
    drawn = batch(arrays, np.arange(6), 96, torch.Generator().manual_seed(1))
    inside = torch.nn.functional.interpolate(drawn.boxes, size=96)[:, MAPPED.index("Mass")] > 0.5
    assert drawn.boxes.shape == (6, 8, GRID, GRID)
    assert drawn.boxes.sum() == drawn.boxes[:, MAPPED.index("Mass")].sum() > 0
    for picture, mask in zip(drawn.images[:, 0], inside, strict=True):
        assert float(picture[mask].mean()) > float(picture[~mask].mean()) + 0.2


def film(folder: Path, name: str, reading: Reading | None) -> Case:
    path = folder / f"{name}.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)).save(path)
    return Case(path, name, "train", "full", mined_labels({"Mass"}), reading=reading)


def test_what_radiologists_saw_teaches_most_and_is_drawn_more_often(tmp_path: Path) -> None:
    from pipelines.chest_findings.arrays import READ_CHANCE, decode

    mass, child = SCORES.index("Mass"), SCORES.index("Child_Pneumonia")
    box = BoxLabel("Pneumonia", 0.2, 0.2, 0.1, 0.1)
    voted = Reading(("Mass",), votes={"Mass": 0.4}, opacities=(box,))
    cases = [film(tmp_path, "read", voted), film(tmp_path, "text", None)]
    arrays = decode(cases, 0, 32)
    assert arrays.shares[:, mass].tolist() == pytest.approx([0.4, 0.98])
    assert arrays.weights[:, mass].tolist() == [4, 1]
    assert arrays.weights[:, child].tolist() == [0, 0]
    assert arrays.read[0, mass] == 0
    assert np.isnan(arrays.read[1]).all()
    assert arrays.chances.tolist() == [READ_CHANCE, 1]
    assert arrays.boxes == {0: (box,)}


def test_a_share_is_learned_as_such_and_weighs() -> None:
    from pipelines.chest_findings.train import _answers

    shares, weights = torch.tensor([[0.5], [1.0]]), torch.tensor([[4.0], [1.0]])
    rarity = torch.ones(1)
    best = _answers(torch.zeros(2, 1), shares, weights, rarity)
    worse = _answers(torch.tensor([[2.0], [0.0]]), shares, weights, rarity)
    ignored = _answers(torch.tensor([[0.0], [9.0]]), shares, weights * 0, rarity)
    assert best.item() == pytest.approx(np.log(2))
    assert worse > best
    assert ignored == 0


@pytest.mark.data
def test_real_radiographs_train_too(shared: Path) -> None:
    from pipelines.chest_findings import train as training
    from pipelines.chest_findings.arrays import SOURCES, batch, decode
    from pipelines.chest_findings.judging import judge
    from pipelines.chest_findings.network import TrunkNet
    from pipelines.training.loop import to_input
    from pipelines.training.trunk import load_imagenet

    cases = [case for case in read_cases(shared) if case.split == "train"]
    chosen = [case for case in cases if case.boxes][:4]
    chosen += [case for case in cases if case.source == "child"][:4]
    arrays = decode(chosen, 0, 96)
    assert set(arrays.boxes) == {0, 1, 2, 3}
    network = TrunkNet()
    load_imagenet(network.encoder, shared / "weights" / "mobilenet_v2_imagenet.npz")
    lesson = batch(arrays, np.arange(8), 64, torch.Generator().manual_seed(0))
    scores, maps = network(to_input(lesson.images))
    bias = torch.zeros(len(SOURCES), scores.shape[1] + maps.shape[1], requires_grad=True)
    counts = (torch.ones(8, 1), training.positives(arrays, 0.5))
    parts = training.losses(scores, maps, lesson, bias[lesson.sources], counts)
    torch.stack(list(parts.values())).sum().backward()
    assert all(bool(torch.isfinite(part)) for part in parts.values())
    assert parts["dice"].item() > 0
    assert float(bias.grad[SOURCES.index("child")].abs().sum()) > 0
    assert 0 <= judge(network, arrays)["peaks"] <= 1
