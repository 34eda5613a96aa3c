"""One object that cannot be made keeps nothing else back."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.admission import Route
from dicom_node.domain.codes import PLEURA, PNEUMOTHORAX
from dicom_node.domain.errors import Away
from dicom_node.domain.exchange.substitution import Capabilities
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    Segment,
)
from dicom_node.domain.followup import History
from dicom_node.domain.study import HL7Destination, Instance, InstanceRef
from dicom_node.domain.work import Arrival, Claim, Job, ReportObject, StoredFile
from dicom_node.flow.infer import PipelineRequest, Reading
from dicom_node.flow.plan import Destinations, PlannedObject
from dicom_node.flow.report import ReportingContext, report
from dicom_node.storage.archive.files import FileArchive

ROUTE = Route("chest", outputs=("seg", "sr", "gsps"), send_to=("pacs",), notify=("ris",))
RIS = HL7Destination("ris", "h", 1, escalation=("duty",))
DUTY = HL7Destination("duty", "h", 2)
POINT = OperatingPoint("balanced", 0.5, 0.9, 0.9)
SEGMENT = Segment(np.pad(np.ones((8, 8), np.bool_), 4), "test")
AIR = Finding(PNEUMOTHORAX, Presence.PRESENT, 0.9, POINT, PLEURA, urgent=True, segment=SEGMENT)
FINDINGS = Findings(Algorithm("p", "1", "ab"), (AIR,))
CLAIM = Claim(
    1,
    Arrival(
        Instance(InstanceRef("1.2", "1.2.3"), "1.4", "1.5", "1.6", "P1"),
        StoredFile("k", "", 0),
        "CR",
        "AI",
        "h",
        0.0,
    ),
    (Job(1, "p", ("chest",), 1),),
    "w",
    0.0,
)
READING = Reading(None, None, (PipelineRequest("p"),), (FINDINGS,))


def context(folder: Path, broken: str, error: Exception) -> ReportingContext:
    def build(planned: PlannedObject, _: Reading, now: float) -> ReportObject:
        if planned.kind == broken:
            raise error
        return ReportObject(planned.kind, "1.2", planned.uid, "1.9", planned.uid.encode())

    capabilities = Destinations({"pacs": Capabilities()}, {"ris": RIS, "duty": DUTY})
    return ReportingContext(
        {"chest": ROUTE}, build, lambda _: History(), lambda _: capabilities, FileArchive(folder)
    )


@pytest.mark.parametrize("broken", ["seg", "sr", "gsps"])
def test_the_others_go_out_the_urgent_message_too(broken: str, tmp_path: Path) -> None:
    error = ValueError("MARKEDNAME")
    outcome = report(CLAIM, READING, context(tmp_path, broken, error), 1000.0)
    kinds = {made.kind for made, _ in outcome.objects}
    assert kinds == {"seg", "sr", "gsps", "oru"} - {broken}
    assert {one.destination for one in outcome.deliveries} == {"pacs", "ris"}
    assert len(outcome.deliveries) == 3 and len(outcome.escalations) == 1
    assert outcome.not_made == (f"{broken} for pacs: ValueError",)


def test_a_message_that_cannot_be_made_takes_its_escalation_along(tmp_path: Path) -> None:
    outcome = report(CLAIM, READING, context(tmp_path, "oru", ValueError()), 1000.0)
    assert {made.kind for made, _ in outcome.objects} == {"seg", "sr", "gsps"}
    assert outcome.escalations == ()
    assert outcome.not_made == ("oru for ris: ValueError", "oru for duty: ValueError")


@pytest.mark.parametrize("error", [Away("archive"), MemoryError()])
def test_what_passes_is_tried_again_as_a_whole(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        report(CLAIM, READING, context(tmp_path, "sr", error), 1000.0)
