"""Three tasks on one network: one inference per film, thresholds of their own."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import PointChoice, Presence
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings import pipeline as chest_findings
from pipelines.chest_findings.heads import abnormality, pneumonia


def test_one_film_goes_through_the_network_once(models_dir: Path, noise: Radiograph) -> None:
    tasks = [task.load(models_dir, "cpu") for task in (chest_findings, pneumonia, abnormality)]
    assert len({task.model.session for task in tasks}) == 1
    films = [replace(noise), replace(noise, pixels=noise.pixels[::-1].copy())]
    told = [[task.read(film) for task in tasks] for film in films]
    for found in told:
        assert ["inference" in one.timings_ms for one in found] == [True, False, False]
    first, second = (found[2].findings[0].probability for found in told)
    assert first != second  # what is remembered belongs to one film only


def test_each_finding_is_judged_where_the_route_says(models_dir: Path, noise: Radiograph) -> None:
    task = chest_findings.load(models_dir, "cpu")
    names = ("high_sensitivity", "balanced", "high_specificity")
    thresholds = [
        {name: point.threshold for name, point in task.points_of(PointChoice(choice)).items()}
        for choice in names
    ]
    assert len(thresholds[0]) == 8
    for name in thresholds[0]:
        assert thresholds[0][name] <= thresholds[1][name] <= thresholds[2][name]
    always, never = task.read_at(
        noise, (PointChoice(threshold=1e-9), PointChoice(threshold=0.999999))
    )
    assert {one.presence for one in always.findings} == {Presence.PRESENT}
    assert {one.presence for one in never.findings} == {Presence.ABSENT}
    assert [one.probability for one in always.findings] == [
        one.probability for one in never.findings
    ]
    with pytest.raises(BadSettings, match="high_specificity"):
        task.points_of(PointChoice("best"))


@pytest.mark.parametrize(
    "dotted", ["pneumonia.pipeline", "pneumonia.paediatric", "abnormality.pipeline"]
)
def test_the_names_in_configurations_of_the_field_still_load(models_dir: Path, dotted: str) -> None:
    head = importlib.import_module(f"pipelines.{dotted}").load(models_dir, "cpu")
    assert head.version
