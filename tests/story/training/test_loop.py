"""A run begins, stops, goes on and tells, whatever network it teaches."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from dicom_node.domain.errors import BadSettings

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")


class Killed(Exception):
    """The process dies here."""


def begin(out: Path, *words: str) -> argparse.Namespace:
    from pipelines.training.loop import parser
    from pipelines.training.rundir import open_run

    options = parser("tiny", None, minutes=1, size=64).parse_args(
        ["--out", str(out), "--steps", "60", "--judge-every", "25", "--threads", "1", *words]
    )
    open_run("tiny", options)
    return options


def learn(options: argparse.Namespace, worth: Callable[[int], float], dies_at: int = 0) -> Path:
    """Teach a line to follow another; `worth` tells by the number of validations."""
    from pipelines.training.loop import Draws, Losses, Marks, run

    network = torch.nn.Linear(3, 1).to(options.device)
    beside = torch.nn.Parameter(torch.zeros(1))
    taken, judged = [0], [0]

    def take_step(network: torch.nn.Module, draws: Draws) -> Losses:
        taken[0] += 1
        if taken[0] == dies_at:
            raise Killed
        places = torch.randn(8, 3, generator=draws.torch) + float(draws.numpy.random())
        return {"square": ((network(places) + beside - places.sum(dim=1)[:, None]) ** 2).mean()}

    def judge(_: torch.nn.Module) -> Marks:
        judged[0] += 1
        return {"worth": worth(judged[0])}

    groups: list[dict[str, object]] = [
        {"params": [*network.parameters()], "lr": 0.2, "peak": 0.2},
        {"params": [beside], "lr": 0.2, "peak": 0.2},
    ]
    return run(network, groups, options, take_step, judge)


def lines(out: Path, event: str) -> list[dict[str, float]]:
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in log if line["event"] == event]


def test_two_runs_of_one_seed_lose_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        learn(begin(tmp_path / name, "--seed", seed), float)
    first, same, other = (lines(tmp_path / name, "step") for name in "abc")
    assert first == same
    assert first != other
    assert [line["step"] for line in first] == [20, 40, 60]
    assert first[-1]["square"] < first[0]["square"]


def test_the_best_judged_step_is_given_and_the_last_of_equals(tmp_path: Path) -> None:
    best = learn(begin(tmp_path / "a"), {1: 0.5, 2: 0.9, 3: 0.7}.__getitem__)
    assert best.name == "average-00050.pt"
    assert best.exists()
    assert learn(begin(tmp_path / "b"), lambda _: 0.0).name == "average-00060.pt"


def test_a_killed_run_goes_on_where_it_last_saved(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        learn(begin(tmp_path), float, dies_at=57)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 50
    learn(begin(tmp_path, "--resume"), float)
    assert [line["step"] for line in lines(tmp_path, "judged")] == [25, 50, 60]
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert last["step"] == 60
    assert float(last["beside"][0]) != 0


def test_a_run_that_gains_nothing_stops_early(tmp_path: Path) -> None:
    options = begin(tmp_path, "--patience", "2", "--judge-every", "5")
    best = learn(options, lambda count: 1.0 if count == 2 else 0.1)
    assert best.name == "average-00010.pt"
    assert [line["step"] for line in lines(tmp_path, "stopped")] == [20]


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images-0.npz").write_bytes(b"")
    learn(begin(tmp_path), float)
    with pytest.raises(BadSettings, match=r"not empty.*--resume"):
        begin(tmp_path)
    with pytest.raises(BadSettings, match="size was 64, now it is 96"):
        begin(tmp_path, "--resume", "--size", "96")


def test_a_run_says_what_made_it(tmp_path: Path) -> None:
    learn(begin(tmp_path, "--seed", "7"), float)
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["task"] == "tiny"
    assert told["options"]["seed"] == 7
    assert told["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert len(told["commit"]) in (0, 40)
    curves = ElementTree.parse(tmp_path / "curves.svg")  # noqa: S314 - the run's own file
    groups = [one for one in curves.iter() if one.get("id", "").startswith("line2d")]
    paths = [path.get("d", "") for group in groups for path in group if path.tag.endswith("path")]
    assert sum(path.count("M") + path.count("L") == 3 for path in paths) == 2


@pytest.mark.parametrize("name", ["cuda:99", "mps", "toaster"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSettings, match=f"--device {name}"):
        begin(tmp_path, "--device", name)


@pytest.mark.gpu
def test_a_run_on_the_gpu_learns(tmp_path: Path) -> None:
    from pipelines.pneumothorax.train import train

    words = ["--steps", "2", "--size", "64", "--phantoms", "8", "--device", "cuda"]
    assert train(["--out", str(tmp_path), *words]) == 0
    assert lines(tmp_path, "judged")[-1]["step"] == 2


def test_equalising_makes_every_grey_level_as_frequent() -> None:
    from pipelines.training.augment import equalise

    random = torch.Generator().manual_seed(0)
    images = torch.rand(40, 1, 32, 32, generator=random) ** 3
    same = equalise(images, random, 0.0)
    assert same is images
    flat = equalise(images, random, 1.0)
    counts = np.histogram(flat.numpy(), bins=8, range=(0, 1))[0] / flat.numel()
    assert np.allclose(counts, 1 / 8, atol=0.01)
    order = images[0].flatten().argsort()
    assert (flat[0].flatten()[order].diff() > 0).all()
    some = equalise(images, random, 0.5)
    changed = (some != images).flatten(1).any(dim=1)
    assert 5 < int(changed.sum()) < 35


def test_weights_of_labels_are_read_and_wrong_ones_named() -> None:
    from pipelines.training.start import weights_of

    known = {"siim": 1.0, "weak": 0.5}
    assert weights_of(["weak=0.25"], known) == {"siim": 1.0, "weak": 0.25}
    for word, told in (("x=1", "none of siim, weak"), ("weak", "want SOURCE"), ("weak=-1", "0 to")):
        with pytest.raises(BadSettings, match=told):
            weights_of([word], known)


def test_a_weight_changes_what_a_source_teaches() -> None:
    from pipelines.pneumothorax.arrays import TrainingArrays
    from pipelines.pneumothorax.train import losses

    labels = np.full((2, 14), np.nan, np.float32)
    labels[:, 0] = 1, 0
    empty = np.zeros((2, 32, 32), np.uint8)
    answers = (torch.zeros(2, 1, 32, 32), torch.full((2, 14), 4.0))
    found = {}
    for weight in (1.0, 0.25):
        weights = np.asarray([1.0, weight], np.float32)
        arrays = TrainingArrays(empty, empty, np.zeros(2, np.float32), labels, weights, {})
        parts = losses(answers, torch.zeros(2, 1, 32, 32), arrays, np.arange(2))
        found[weight] = float(parts["presence"])
    right, wrong = 0.138, 3.898  # cross entropy of 4.0 against 0.97 and 0.03
    assert found[1.0] == pytest.approx((right + wrong) / 2, abs=0.01)
    assert found[0.25] == pytest.approx((right + 0.25 * wrong) / 1.25, abs=0.01)
