"""Pneumonia: adults' and children's scores, one region."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.findings import Findings, Presence, Side
from dicom_node.domain.study import Orientation, Radiograph
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.heads import paediatric, pneumonia
from pipelines.chest_findings.reading import SharedModel
from pipelines.serving.labelled import load_labelled
from pipelines.serving.session import Session

Reading = Callable[[str, Radiograph], Findings]


class OneHead:
    """An engine that finds a pneumonia with one of the two heads."""

    def __init__(self, head: str) -> None:
        self.scores = np.full((1, len(SCORES)), -30.0, np.float32)
        self.scores[0, SCORES.index(head)] = 30.0
        self.maps = np.full((1, len(MAPPED), 28, 28), 0.01, np.float32)
        self.maps[0, MAPPED.index("Pneumonia"), 14:21, 21:25] = 0.9

    def run(self, names: list[str], _: object) -> list[object]:
        """Answer for the film and for its mirror image."""
        maps = np.concatenate([self.maps, self.maps[..., ::-1]])
        told = {"scores": self.scores.repeat(2, axis=0), "maps": maps}
        return [told[name] for name in names]


@pytest.fixture(scope="module")
def reading(models_dir: Path) -> Reading:
    """Read with the adults' task while the network tells of the named head."""
    manifest = load_labelled(models_dir / "pneumonia")

    def read(head: str, film: Radiograph) -> Findings:
        session = Session(OneHead(head), "image", manifest.outputs, "fixed")
        model = SharedModel(manifest, session)
        task = pneumonia.head_on(model, "pneumonia", pneumonia.ADULT, pneumonia.ADULT_HEAD)
        return task.read(film)

    return read


@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F"), ("F", "L")])
def test_the_region_and_its_box_lie_where_the_map_says(
    reading: Reading, noise: Radiograph, turn: tuple[str, str]
) -> None:
    film = replace(noise, orientation=Orientation(*turn))
    (finding,) = reading(pneumonia.ADULT, film).findings
    assert finding.presence is Presence.PRESENT
    assert finding.side is Side.LEFT
    assert finding.segment is not None
    assert finding.segment.mask.shape == noise.pixels.shape
    (box,) = finding.boxes
    rows, columns = np.nonzero(finding.segment.mask)
    assert rows.min() == pytest.approx(box.y, abs=3)
    assert rows.max() + 1 == pytest.approx(box.y + box.height, abs=3)
    assert columns.min() == pytest.approx(box.x, abs=3)
    assert columns.max() + 1 == pytest.approx(box.x + box.width, abs=3)
    shown = np.asarray(film.orientation.to_standard(finding.segment.mask))  # type: ignore[union-attr]
    high, wide = shown.shape
    assert shown[int(0.62 * high), int(0.82 * wide)]
    assert not shown[:, : wide // 2].any()


def test_each_head_has_its_own_task(reading: Reading, noise: Radiograph, models_dir: Path) -> None:
    adult = reading(pneumonia.CHILD, noise)
    assert adult.findings[0].presence is Presence.ABSENT
    assert adult.findings[0].segment is None
    assert any("adult" in note for note in adult.notes)
    manifest = load_labelled(models_dir / "pneumonia")
    session = Session(OneHead(pneumonia.CHILD), "image", manifest.outputs, "fixed")
    model = SharedModel(manifest, session)
    children = replace(paediatric.load(models_dir, "cpu"), model=model)
    read = children.read(noise)
    assert children.name == read.algorithm.name == "pneumonia_paediatric"
    assert read.findings[0].presence is Presence.PRESENT
    assert any("child" in note for note in read.notes)


def test_the_shipped_models_share_their_weights(models_dir: Path) -> None:
    shared = load_labelled(models_dir / "chest_findings")
    for task in (pneumonia.load(models_dir, "cpu"), paediatric.load(models_dir, "cpu")):
        assert task.model.manifest.sha256 == shared.sha256
        for label in task.model.manifest.labels:
            marks = [point.threshold for point in label.operating_points.values()]
            assert marks == sorted(marks)
        assert [check.words for check in task.verify() if not check.ok] == []


@pytest.mark.data
def test_the_shipped_model_tells_children_with_pneumonia(shared: Path, models_dir: Path) -> None:
    from pipelines.chest_findings.cases import read_cases
    from pipelines.chest_findings.readings import read_all
    from pipelines.measuring import metrics

    cases = [c for c in read_cases(shared) if c.source == "child" and c.split == "test"]
    ill = [case for case in cases if case.has(pneumonia.CHILD)][:12]
    well = [case for case in cases if not case.has(pneumonia.CHILD)][:12]
    model = paediatric.load(models_dir, "cpu").model
    readings = read_all(model, ill + well)
    assert metrics.auc(*readings.of_label(pneumonia.CHILD)) > 0.8
