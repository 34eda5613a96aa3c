"""Films read as a batch say what they say alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.findings import Findings
from dicom_node.domain.pipeline import Batched
from dicom_node.domain.study import Radiograph
from pipelines.anatomy import pipeline as anatomy
from pipelines.chest_findings import pipeline as chest_findings
from pipelines.phantom.chest import CONDITIONS, Phantom, chest_phantom
from pipelines.pneumothorax import pipeline as pneumothorax
from pipelines.serving.session import Session
from pipelines.suitability import pipeline as suitability
from tests.support.readings import standard_film

Load = Callable[[Path], Batched]
TASKS = {
    "pneumothorax": lambda models: pneumothorax.load(
        models, "cpu", anatomy=anatomy.load(models, "cpu")
    ),
    "anatomy": lambda models: anatomy.load(models, "cpu"),
    "chest_findings": lambda models: chest_findings.load(models, "cpu"),
    "suitability": lambda models: suitability.load(models, "cpu"),
}


def told(found: Findings) -> list[object]:
    """Everything but the times, to compare."""
    return [found.not_analysed, found.notes] + [
        (one.presence, one.side, round(one.probability, 4), len(one.boxes), len(one.measurements))
        for one in found.findings
    ]


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_is_read_as_one_by_one(
    task: str,
    models_dir: Path,
    film: Callable[[Phantom], Radiograph],
    noise: Radiograph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = TASKS[task](models_dir)
    kinds = ("right", "none", "left")
    films = [
        film(chest_phantom(60 + number, CONDITIONS[kind], rows=256 + 64 * number, columns=320))
        for number, kind in enumerate(kinds)
    ]
    flat = standard_film(np.full((200, 200), 0.5, np.float32))
    films = [films[0], flat, replace(noise), *films[1:]]
    alone: list[object] = []
    for one in films:
        try:
            alone.append(told(pipeline.read(one)))
        except NotAnalysable as error:
            alone.append(str(error))
    again = [replace(one) for one in films]
    runs: list[int] = []
    run = Session.run

    def counted(session: Session, image: np.ndarray) -> object:
        runs.append(len(image))
        return run(session, image)

    monkeypatch.setattr(Session, "run", counted)
    pipeline.prefetch(again)
    batches = len(runs)
    for one, expected in zip(again, alone, strict=True):
        try:
            assert told(pipeline.read(one)) == expected
        except NotAnalysable as error:
            assert str(error) == expected
    assert len(runs) == batches == (2 if task == "pneumothorax" else 1)
