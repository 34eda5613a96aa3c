"""Promotion by the site's own validation set, and how workers take it up."""

import csv
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.assembly import pipelines
from dicom_node.commands import cli
from dicom_node.roles.work import run as run_work
from dicom_node.storage.database.schema import results
from dicom_node.storage.models import install, linked, models_dir, switch
from pipelines.phantom.chest import Condition, chest_phantom
from tests.support.challengers import challenger
from tests.support.node import Node

TASK = "pneumothorax"
FILMS: tuple[tuple[int, Condition], ...] = (
    (31, "none"),
    (32, "right"),
    (33, "none"),
    (34, "left"),
)


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's labelled films: phantoms, in the tables that `evaluate` reads."""
    folder = tmp_path_factory.mktemp("site")
    cxr = folder / "cxr"
    (cxr / "full").mkdir(parents=True)
    columns = ["file", "mask", "image_id", "patient_id", "split", "pneumothorax", "label_source"]
    columns += ["nih_labels", "view", "chest_tube", "chexnet_pneumothorax"]
    with (cxr / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        for seed, condition in FILMS:
            name = f"full/{seed}.png"
            grey = 255 * chest_phantom(seed, condition, rows=448, columns=448).display()
            Image.fromarray(grey.astype(np.uint8)).save(cxr / name)
            row = {"file": name, "patient_id": f"P{seed}", "split": "val", "label_source": "siim"}
            table.writerow(row | {"pneumothorax": str(int(condition != "none")), "view": "PA"})
    (cxr / "stage2.csv").write_text(
        "file,image_id,same_radiograph_as,patient_id,split,nih_labels,weak_probability\n"
    )
    return folder


def test_a_worse_challenger_is_refused_with_figures(
    node: Node, validation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def models(action: str, *more: str) -> int:
        return cli.main(["models", action, TASK, *more, "-c", str(node.config)])

    data = ("--data", str(validation))
    store = pipelines.model_store_of(node.settings)
    # so high that every probability rounds to 1: no image is told from another
    blind = challenger(tmp_path / "blind", shift=2000.0)
    assert models("shadow", str(blind)) == 0
    assert models("promote", *data) == 1
    said = capsys.readouterr()
    assert "challenger 0.5000" in said.out
    assert "AUC 0.5000 is worse than the current model's 1.0000 by more than" in said.err
    shipped = linked(store, TASK)
    assert shipped is not None and shipped.folder == ""

    # another calibration keeps the order of the images, so the AUC
    level = challenger(tmp_path / "level", shift=1.0, version="9.9.8")
    assert models("shadow", str(level)) == 0
    assert models("promote", *data) == 0
    current = linked(store, TASK)
    assert current is not None and current.version == "9.9.8"
    (line,) = (store.root / TASK / "history.jsonl").read_text().splitlines()
    figures = {"current_auc": 1.0, "challenger_auc": 1.0, "margin": 0.02}
    assert json.loads(line)["figures"] == figures


def test_a_running_worker_takes_up_what_is_promoted(
    node: Node, phantoms: dict[str, Path], tmp_path: Path
) -> None:
    stop = threading.Event()
    worker = threading.Thread(target=run_work, args=(node.settings, stop))

    def versions_after(count: int) -> list[str]:
        until = time.monotonic() + 120
        while len(node.rows(results)) < count and time.monotonic() < until:
            time.sleep(0.05)
        return [row.version for row in node.rows(results)]

    worker.start()
    try:
        node.receive(phantoms["none"])
        (shipped,) = versions_after(1)
        store = pipelines.model_store_of(node.settings)
        source = challenger(tmp_path / "next", shift=0.5)
        ref = install(store, TASK, source, lambda _: None)
        switch(store, TASK, "current", ref)
        time.sleep(0.2)  # a turn of the idle worker
        node.receive(phantoms["right"])
        assert versions_after(2) == [shipped, "9.9.9"]
    finally:
        stop.set()
        worker.join(60)


def test_readers_meet_a_whole_model_at_every_moment_of_a_switch(node: Node, tmp_path: Path) -> None:
    store = pipelines.model_store_of(node.settings)
    made = [challenger(tmp_path / name, 1.0, version=name) for name in ("one", "two")]
    refs = [install(store, TASK, folder, lambda _: None) for folder in made]
    switch(store, TASK, "current", refs[0])
    ended, seen = threading.Event(), set[str]()

    def look() -> None:
        while not ended.is_set():
            ref = linked(store, TASK)  # raises for a link that leads nowhere
            folder = models_dir(store, TASK)
            assert ref is not None and folder is not None
            assert ref in refs and (folder / TASK / "model.onnx").is_file()
            seen.add(ref.version)

    faults: list[BaseException] = []
    looking = threading.Thread(target=_noting(look, faults))
    looking.start()
    for turn in range(200):
        switch(store, TASK, "current", refs[turn % 2])
    ended.set()
    looking.join(30)
    assert faults == []
    assert seen == {"one", "two"}


def _noting(look: Callable[[], None], faults: list[BaseException]) -> Callable[[], None]:
    def run() -> None:
        try:
            look()
        except BaseException as error:  # noqa: BLE001 - a thread's fault belongs to the test
            faults.append(error)

    return run
