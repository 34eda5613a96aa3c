"""Operating points per route: one reading, judged for each."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dicom_node.assembly import pipelines
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import (
    OWN_POINT,
    Finding,
    OperatingPoint,
    PointChoice,
    Presence,
    chosen_point,
)
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from dicom_node.results.common import operating_point
from dicom_node.storage.database.schema import deliveries, objects, results
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline, load
from pipelines.serving.session import Session
from tests.support.node import CONFIGURATION, MakeNode, Node
from tests.support.paths import ROOT

POINTS = {
    "high_sensitivity": OperatingPoint("high_sensitivity", 0.1, 0.95, 0.6),
    "balanced": OperatingPoint("balanced", 0.3, 0.88, 0.9),
    "high_specificity": OperatingPoint("high_specificity", 0.6, 0.7, 0.97),
}
TWO_POINTS = """operating_point = "high_specificity"
[[routes]]
name = "triage"
outputs = ["sr", "seg"]
send_to = ["pacs"]
threshold = 0.0005
"""


def test_a_choice_by_name_and_none() -> None:
    own = POINTS["balanced"]
    assert chosen_point(OWN_POINT, POINTS, own) is own
    assert chosen_point(PointChoice("high_specificity"), POINTS, own).threshold == 0.6
    with pytest.raises(BadSettings, match="the model has high_sensitivity, balanced"):
        chosen_point(PointChoice("sharp"), POINTS, own)


@pytest.mark.parametrize(
    ("threshold", "sensitivity", "specificity"),
    [(0.05, 0.95, 0.0), (0.3, 0.88, 0.9), (0.4, 0.7, 0.9), (0.9, 0.0, 0.97)],
)
def test_a_threshold_of_the_site_promises_no_more_than_its_neighbours(
    threshold: float, sensitivity: float, specificity: float
) -> None:
    choice = PointChoice("high_sensitivity", threshold)
    point = chosen_point(choice, POINTS, POINTS["balanced"])
    assert (point.threshold, point.measured) == (threshold, False)
    assert (point.sensitivity, point.specificity) == (sensitivity, specificity)


@dataclass
class Counting:
    """The real engine, and how often it was asked."""

    engine: Any
    runs: int = 0

    def run(self, names: list[str], feeds: dict[str, object]) -> object:
        self.runs += 1
        return self.engine.run(names, feeds)


@pytest.fixture(scope="module")
def pipeline() -> PneumothoraxPipeline:
    return load(ROOT / "models", "cpu", 1)


def test_one_run_of_the_network_serves_every_point(
    pipeline: PneumothoraxPipeline, phantoms: dict[str, Path]
) -> None:
    session = pipeline.session
    assert isinstance(session, Session)
    counting = Counting(session.engine)
    counted = replace(pipeline, session=replace(session, engine=counting))
    _, radiograph = read_radiograph(phantoms["right"])
    choices = (OWN_POINT, PointChoice(threshold=0.9999), PointChoice("high_sensitivity"))
    own, never, sensitive = (one.findings[0] for one in counted.read_at(radiograph, choices))
    assert counting.runs == 1
    assert own.probability == never.probability == sensitive.probability
    assert [one.presence for one in (own, never, sensitive)] == [
        Presence.PRESENT,
        Presence.ABSENT,
        Presence.PRESENT,
    ]
    assert own.urgent and own.segment is not None and own.measurements
    assert not never.urgent and never.segment is None and never.measurements == ()
    assert sensitive.operating_point.name == "high_sensitivity"
    assert "at least" in _words(never) and "at least" not in _words(own)


def _words(finding: Finding) -> str:
    return operating_point(finding)


def test_routes_with_different_points_send_different_objects(
    make_node: MakeNode, phantoms: dict[str, Path]
) -> None:
    node = make_node(CONFIGURATION + TWO_POINTS)
    node.receive(phantoms["none"])  # a probability between the two thresholds
    assert node.work(node.configured())
    assert [row.kind for row in node.rows(objects)] in (["sr", "sr"], ["sr", "sr", "seg"])
    assert len({row.sop_instance_uid for row in node.rows(objects)}) == len(node.rows(objects))
    assert len(node.rows(deliveries)) == len(node.rows(objects))
    specific, sensitive = (json.loads(row.findings)["findings"][0] for row in node.rows(results))
    assert (specific["present"], sensitive["present"]) == ("absent", "present")
    assert specific["probability"] == sensitive["probability"]
    assert specific["operating_point"]["name"] == "high_specificity"
    assert sensitive["operating_point"]["threshold"] == 0.0005
    assert [row.role for row in node.rows(results)] == ["live", "live"]
    assert len({row.point for row in node.rows(results)}) == 2


def test_the_same_point_twice_makes_each_object_once(
    make_node: MakeNode, phantoms: dict[str, Path]
) -> None:
    node = make_node(
        CONFIGURATION + '[[routes]]\nname = "b"\noutputs = ["sr", "seg"]\nsend_to = ["pacs"]\n'
    )
    node.receive(phantoms["right"])
    assert node.work(node.configured())
    assert sorted(row.kind for row in node.rows(objects)) == ["seg", "sr"]
    assert len(node.rows(results)) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("threshold = 1.5", "threshold = 1.5 is not a probability"),
        ("threshold = -0.1", "threshold = -0.1 is not a probability"),
        ('operating_point = "sharp"', "routes.0.operating_point = 'sharp'"),
    ],
)
def test_mistakes_are_named(make_node: MakeNode, line: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        make_node(CONFIGURATION + line)


def test_a_route_says_which_pipelines_follow_its_point(
    node: Node, pipeline: PneumothoraxPipeline
) -> None:
    loaded = {"pneumothorax": pipeline}
    assert list(pipelines.routes_with_points(node.settings, loaded)) == []
    (route,) = node.settings.routes
    asking = replace(route, operating_point="balanced")
    settings = node.settings.model_copy(update={"routes": (asking,)})
    assert list(pipelines.routes_with_points(settings, loaded)) == [
        (asking, "pneumothorax", pipeline)
    ]
