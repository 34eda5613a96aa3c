"""Two routes of one node: one set of results, and a set per pipeline."""

import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.commands.demo.phantom import phantom_dx
from tests.support.hospital import configure, dcmsend, running_node
from tests.support.listeners import HL7Listener, Orthanc
from tests.support.validators import entity_errors, errors_of, structured_report

pytestmark = pytest.mark.peers

PIPELINES = ["pneumothorax", "anatomy"]
APART = """\
[[routes]]
name = "apart"
modality = ["DX"]
pipelines = ["pneumothorax", "anatomy"]
outputs = ["seg", "sr", "sc", "pdf"]
send_to = ["pacs"]
combine = false
overlay = "contour"
"""


def test_a_route_gets_one_set_or_a_set_per_pipeline(
    tmp_path: Path, orthanc: Orthanc, ris: HL7Listener
) -> None:
    source = tmp_path / "right.dcm"
    made = phantom_dx(2, "right", made_at=time.time(), rows=1024, columns=1024)
    made.save_as(source, enforce_file_format=True)
    config = configure(
        tmp_path,
        pacs_port=orthanc.dicom_port,
        hl7_port=ris.port,
        pipelines=PIPELINES,
        outputs=["seg", "sr", "sc", "pdf"],
    )
    config.write_text(config.read_text() + APART)
    with running_node(config) as node:
        dcmsend(node, [source])
        snapshot = node.settle(1)
        assert (snapshot.analysed, snapshot.dead_letters, snapshot.alarms) == (1, (), ())
        before = set(orthanc.rest("/instances"))
        _check_sets(orthanc, source, tmp_path)
        assert len(ris.messages) == 1  # the second route notifies nobody

        dcmsend(node, [source])
        time.sleep(1.0)  # more than a claim, a reading and a delivery take
        node.settle(1)
        assert set(orthanc.rest("/instances")) == before
        assert len(ris.messages) == 1


def _check_sets(orthanc: Orthanc, source: Path, folder: Path) -> None:
    """Sort the results by the pipelines that they name."""
    paths: list[Path] = []
    kinds: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for one in orthanc.rest("/instances"):
        path = folder / f"{one}.dcm"
        path.write_bytes(orthanc.content(f"/instances/{one}/file"))
        paths.append(path)
        assert errors_of(path) <= errors_of(source), path
        ds = dcmread(path)
        kinds[_pipelines(ds)][ds.Modality] += 1
        if ds.Modality == "SR":
            words = structured_report(path)
            for pipeline in PIPELINES:
                assert (pipeline in words) == (pipeline in _pipelines(ds))
    assert entity_errors([source, *paths]) == set()
    both, air, outline = ("anatomy", "pneumothorax"), ("pneumothorax",), ("anatomy",)
    assert set(kinds) == {both, air, outline}
    assert kinds[both] == {"SEG": 1, "SR": 1, "OT": 1, "DOC": 1}
    assert kinds[air] == {"SEG": 1, "SR": 1, "OT": 1, "DOC": 1}
    assert {**kinds[outline], "SEG": 0} == {"SR": 1, "OT": 1, "DOC": 1, "SEG": 0}


def _pipelines(ds: Dataset) -> tuple[str, ...]:
    """The pipelines among the equipment: the node itself stands first."""
    named = {str(one.ManufacturerModelName) for one in ds.ContributingEquipmentSequence[1:]}
    return tuple(sorted(named))
