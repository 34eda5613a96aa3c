"""Public sets and corrected cases teach: a few steps on tiny ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.phantom.chest import Condition, chest_phantom
from pipelines.pneumothorax.pipeline import load
from pipelines.serving.labelled import load_labelled
from pipelines.serving.manifest import load_manifest

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--steps", "2", "--size", "64", "--judge-every", "1", "--threads", "1", "--phantoms", "0"]
SIDE = 128


def films(folder: Path, count: int, suffix: str = ".png") -> list[tuple[str, Condition]]:
    """Save phantoms as image files; give their names and conditions."""
    conditions: tuple[Condition, ...] = ("none", "right")
    folder.mkdir(parents=True)
    found = []
    for number in range(count):
        condition = conditions[number % 2]
        phantom = chest_phantom(number, condition, rows=SIDE, columns=SIDE)
        grey = np.rint(phantom.display() * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{number:08d}_000{suffix}")
        if condition != "none":
            mask = phantom.pneumothorax_mask.astype(np.uint8) * 255
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        found.append((f"{number:08d}_000{suffix}", condition))
    return found


def judged(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "judged"]


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    folder = tmp_path / "nih"
    rows = films(folder / "images_001" / "images", 40)
    with (folder / "Data_Entry_2017_v2020.csv").open("w", newline="") as file:
        table = csv.writer(file)
        heads = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"
        table.writerow([*heads.split(","), "Patient Gender", "View Position"])
        for number, (name, condition) in enumerate(rows):
            word = "No Finding" if condition == "none" else "Pneumothorax|Effusion"
            table.writerow([name, word, 0, number, 50, "F", "PA"])
    return folder


def test_chestxray14_teaches_the_finding_tasks_and_pneumothorax(nih: Path, tmp_path: Path) -> None:
    from pipelines.chest_findings.train import train as train_findings
    from pipelines.pneumothorax.train import train

    out = tmp_path / "findings"
    assert train_findings(["--data", str(nih), "--out", str(out), *FEW, "--balance", "0.5"]) == 0
    assert {"Effusion", "Pneumothorax", "Abnormal"} <= judged(out)[0].keys()
    told = load_labelled(out / "models" / "chest_findings")
    assert told.training_sources == ("nih data set in folder nih",)
    out = tmp_path / "pneumothorax"
    assert train(["--data", str(nih), "--out", str(out), *FEW, "--weigh", "nih_text=0.5"]) == 0
    assert 0 <= judged(out)[-1]["auc"] <= 1
    assert all(check.ok for check in load(out / "models", "cpu").verify())


def test_the_shipped_network_is_taken_over_as_it_is(models_dir: Path) -> None:
    from pipelines.chest_findings.network import ServedNet as SharedServed
    from pipelines.chest_findings.network import TrunkNet
    from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet
    from pipelines.training.start import load_onnx

    size = load_manifest(models_dir / "pneumothorax").input.size
    network = PneumothoraxNet(13)
    load_onnx(network, ServedNet(network), models_dir / "pneumothorax" / "model.onnx", size)
    shared = TrunkNet()
    served = SharedServed(shared, {}, 224)
    load_onnx(shared, served, models_dir / "chest_findings" / "model.onnx", 224)


def test_folded_batch_statistics_come_back(models_dir: Path) -> None:
    """The network answers as before, and its normalisations measure what comes in."""
    from pipelines.chest_findings.network import ServedNet, TrunkNet
    from pipelines.training.start import load_onnx, renormalise

    network = TrunkNet()
    load_onnx(network, ServedNet(network, {}, 64), models_dir / "chest_findings" / "model.onnx", 64)
    films = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network.eval()
    with torch.no_grad():
        before = network(films)
        renormalise(network, films)
        after = network(films)
        network.train()
        network.dropout.eval()
        taught = network(films)
    for one, other, learning in zip(before, after, taught, strict=True):
        assert torch.allclose(one, other, atol=1e-3)
        assert (learning - one).abs().mean() < 0.5 * one.std()


def test_corrected_cases_make_a_challenger_of_the_shipped_model(
    models_dir: Path, tmp_path: Path
) -> None:
    from pipelines.pneumothorax.train import train

    folder = tmp_path / "feedback"
    rows = films(folder / "images", 12)
    with (folder / "cases.jsonl").open("w") as file:
        for number, (name, condition) in enumerate(rows):
            row: dict[str, object] = {
                "image": f"images/{name}",
                "patient_id": f"P{number}",
                "findings": {"Pneumothorax": "absent" if condition == "none" else "present"},
                "reader": "AB",
                "read_at": "2026-11-20",
            }
            if condition != "none":
                row["mask"] = f"images/masks/{number}.png"
            file.write(json.dumps(row) + "\n")
    size = load_manifest(models_dir / "pneumothorax").input.size
    out = tmp_path / "run"
    words = ["--steps", "1", "--size", str(size), "--threads", "1", "--phantoms", "0"]
    assert train(["--from-feedback", str(folder), "--out", str(out), *words]) == 0
    challenger = load(out / "models", "cpu")
    assert all(check.ok for check in challenger.verify())
    champion = load(models_dir, "cpu")
    assert challenger.manifest.calibration == champion.manifest.calibration
    assert challenger.manifest.operating_points == champion.manifest.operating_points
    sources = challenger.manifest.training_sources
    assert sources[0].startswith("corrected cases of this site in folder feedback")
    assert challenger.manifest.sha256 != champion.manifest.sha256
    film = np.random.default_rng(0).random((1, 1, size, size), np.float32)
    told, before = (one.session.run(film)["mask"] for one in (challenger, champion))
    assert 0 < float(np.abs(told - before).max()) < 0.2  # one gentle step away


def test_a_start_that_does_not_fit_is_named(models_dir: Path, tmp_path: Path) -> None:
    from dicom_node.domain.errors import BadSettings
    from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet
    from pipelines.training.start import load_start

    network = PneumothoraxNet(13)
    served = ServedNet(network)
    with pytest.raises(BadSettings, match="no such file"):
        load_start(network, served, [tmp_path / "gone.pt"], 64)
    with pytest.raises(BadSettings, match=r"chest_findings.*layers, not"):
        load_start(network, served, [models_dir / "chest_findings" / "model.onnx"], 64)
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(BadSettings, match="does not fit"):
        load_start(network, served, [tmp_path / "other.pt"], 64)


def test_corrected_cases_teach_the_finding_tasks_too(models_dir: Path, tmp_path: Path) -> None:
    from pipelines.chest_findings.release import mix_of
    from pipelines.chest_findings.train import train

    folder = tmp_path / "feedback"
    rows = films(folder / "images", 6)
    with (folder / "cases.jsonl").open("w") as file:
        for number, (name, condition) in enumerate(rows):
            word = "absent" if condition == "none" else "present"
            row = {"image": f"images/{name}", "patient_id": f"P{number}", "reader": "AB"}
            row |= {"read_at": "2026-11-20", "findings": {"Mass": word}}
            file.write(json.dumps(row) + "\n")
    out = tmp_path / "run"
    words = ["--steps", "1", "--threads", "1", "--phantoms", "0"]
    assert train(["--from-feedback", str(folder), "--out", str(out), *words]) == 0
    told, known = (load_labelled(one / "chest_findings") for one in (out / "models", models_dir))
    assert told.labels == known.labels
    assert told.sha256 != known.sha256
    assert mix_of(told.weights) == pytest.approx(mix_of(known.weights))
