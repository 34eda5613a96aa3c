"""Structured reports of each class a peer may ask for, before the validators."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.exchange.substitution import SR_SOP_CLASSES
from dicom_node.domain.findings import Findings, Presence
from dicom_node.domain.study import SRClass
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.registry import BUILDERS
from tests.support.samples import findings, radiograph, source
from tests.support.validators import errors_of, structured_report

pytestmark = pytest.mark.peers

TITLES: dict[SRClass, str] = {
    "comprehensive": "Comprehensive SR Document",
    "comprehensive3d": "Comprehensive 3D SR Document",
    "enhanced": "Enhanced SR Document",
}


def undetermined() -> tuple[Findings, ...]:
    """A finding between two thresholds, told by an ensemble."""
    first = findings()[0]
    told = replace(first.findings[0], presence=Presence.UNDETERMINED, segment=None, uncertainty=0.2)
    return (replace(first, findings=(told,)),)


OUTCOMES: dict[str, tuple[Callable[[], tuple[Findings, ...]], dict[str, int]]] = {
    # what is reported, and how often words stand in the dump
    "region and line": (
        lambda: findings()[:1],
        {'"Present"': 1, "SCOORD": 1, "Referenced Segmentation Frame": 1, '"Right"': 2},
    ),
    "box and absent": (
        lambda: findings()[1:2],
        {'"Present"': 1, '"Absent"': 1, "SCOORD": 2, "Referenced Segmentation Frame": 0},
    ),
    "undetermined": (undetermined, {'"Undetermined"': 1, "SCOORD": 1, "Standard deviation": 1}),
    "all": (findings, {'"Present"': 2, '"Absent"': 1, "SCOORD": 3, "Not analysed by pneumonia": 1}),
}


@pytest.mark.parametrize("sr_class", TITLES)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_class_says_all_of_every_outcome(
    outcome: str, sr_class: SRClass, tmp_path: Path
) -> None:
    known, counted = OUTCOMES[outcome]
    context = ReportContext(1_700_000_000.0, "0.1.0", sr_class=sr_class)
    made = BUILDERS["sr"](ExaminedImage(source(), radiograph(), known()), context)
    assert made is not None
    assert made.sop_class_uid == SR_SOP_CLASSES[sr_class]
    path = tmp_path / "sr.dcm"
    path.write_bytes(made.content)
    assert errors_of(path) == set()
    dumped = structured_report(path)
    assert dumped.startswith(TITLES[sr_class])
    assert {words: dumped.count(words) for words in counted} == counted
    for one in (finding for each in known() for finding in each.findings):
        assert f'NUM:(,,"Probability")="{one.probability}"' in dumped


@pytest.mark.parametrize("sr_class", TITLES)
def test_a_refusal_is_a_text_for_every_class(sr_class: SRClass, tmp_path: Path) -> None:
    context = ReportContext(1_700_000_000.0, "0.1.0", sr_class=sr_class)
    made = BUILDERS["sr"](ExaminedImage(source(), None, findings()[2:]), context)
    assert made is not None
    path = tmp_path / "sr.dcm"
    path.write_bytes(made.content)
    assert errors_of(path) == set()
    assert structured_report(path).startswith("Basic Text SR Document")
    assert b"Not analysed by pneumonia: a child" in made.content
