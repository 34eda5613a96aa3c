"""Who hears of a finding by HL7."""

import pytest

from dicom_node.domain.admission import Route
from dicom_node.domain.codes import PLEURA, PNEUMOTHORAX
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    findings_as_json,
)
from dicom_node.domain.followup import History, Sent, conclusion
from dicom_node.domain.study import HL7Destination, InstanceRef
from dicom_node.flow.notify import receivers_to_notify

POINT = OperatingPoint("balanced", 0.5, 0.9, 0.9)
RIS, ED = HL7Destination("ris", "h", 1), HL7Destination("ed", "h", 2, release="after_objects")
RECEIVERS = {"ris": RIS, "ed": ED}
REFUSED = Findings(Algorithm("p", "1", ""), not_analysed="lateral")


def found(presence: Presence, *, urgent: bool = False) -> Findings:
    finding = Finding(PNEUMOTHORAX, presence, 0.9, POINT, PLEURA, urgent=urgent)
    return Findings(Algorithm("p", "1", "00"), (finding,))


FIRST = History()
NEGATIVE = found(Presence.ABSENT)
POSITIVE = found(Presence.PRESENT)
URGENT = found(Presence.PRESENT, urgent=True)


@pytest.mark.parametrize(
    ("urgent_only", "findings", "told"),
    [
        (True, (URGENT,), True),
        (True, (POSITIVE,), False),
        (True, (NEGATIVE,), False),
        (True, (NEGATIVE, URGENT), True),
        (True, (REFUSED,), False),
        (False, (URGENT,), True),
        (False, (POSITIVE,), True),
        (False, (NEGATIVE,), True),
        (False, (REFUSED,), False),
        (False, (REFUSED, NEGATIVE), True),
        (False, (), False),
    ],
)
def test_only_what_the_route_asks_for_goes_out(
    urgent_only: bool, findings: tuple[Findings, ...], told: bool
) -> None:
    route = Route("chest", notify=("ris",), urgent_only=urgent_only)
    assert receivers_to_notify(route, findings, FIRST, RECEIVERS) == ((RIS,) if told else ())


def test_each_receiver_is_told_once_and_keeps_its_release() -> None:
    route = Route("chest", notify=("ed", "ris", "ed"))
    assert receivers_to_notify(route, (URGENT,), FIRST, RECEIVERS) == (ED, RIS)


def test_route_without_receivers_tells_nobody() -> None:
    assert receivers_to_notify(Route("chest"), (URGENT,), FIRST, RECEIVERS) == ()


def test_receiver_that_nobody_configured_is_not_passed_over_in_silence() -> None:
    with pytest.raises(BadSettings, match="'pager'"):
        receivers_to_notify(Route("chest", notify=("ris", "pager")), (URGENT,), FIRST, RECEIVERS)


def heard(of: Findings, *, told: bool) -> History:
    """What is known after an earlier reading, of which the receiver was told or not."""
    message = Sent("ris", "chest/oru/", "oru", InstanceRef("", "2.25.1"), "", 1.0)
    picture = Sent("pacs", "chest/sc/p", "sc", InstanceRef("", "2.25.2"), "", 1.0)
    sent = (message, picture) if told else (picture,)
    return History(sent, {of.algorithm.name: conclusion(findings_as_json(of))})


@pytest.mark.parametrize(
    ("before", "told", "after", "again"),
    [
        (URGENT, True, URGENT, False),
        (URGENT, True, POSITIVE, True),  # urgent no more: taken back
        (URGENT, True, NEGATIVE, True),
        (URGENT, True, REFUSED, False),
        (NEGATIVE, False, NEGATIVE, False),
        (NEGATIVE, False, URGENT, True),
        (NEGATIVE, False, POSITIVE, False),  # never told, and not worth telling
    ],
)
def test_a_later_reading_is_told_when_it_concludes_otherwise(
    before: Findings, told: bool, after: Findings, again: bool
) -> None:
    route = Route("chest", notify=("ris",))
    assert receivers_to_notify(route, (after,), heard(before, told=told), RECEIVERS) == (
        (RIS,) if again else ()
    )


def test_another_pipeline_is_heard_beside_the_one_that_spoke() -> None:
    other = Findings(Algorithm("other", "1", "00"), URGENT.findings)
    route = Route("chest", notify=("ris",))
    assert receivers_to_notify(route, (other,), heard(URGENT, told=True), RECEIVERS) == (RIS,)
