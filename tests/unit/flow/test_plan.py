"""The plan of a claim's objects and messages, as tables: no builder, no database."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from dicom_node.domain.admission import Route
from dicom_node.domain.codes import PLEURA, PNEUMOTHORAX
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.destinations import FhirDestination
from dicom_node.domain.exchange.substitution import SOP_CLASSES, SR_SOP_CLASSES, Capabilities
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    Segment,
    findings_as_json,
)
from dicom_node.domain.followup import History, Sent, conclusion
from dicom_node.domain.study import HL7Destination, Instance, InstanceRef
from dicom_node.domain.work import Arrival, Claim, Job, ObjectKind, StoredFile
from dicom_node.flow.infer import PipelineRequest
from dicom_node.flow.plan import Destinations, Plan, plan

NOW = 1000.0
POINT = OperatingPoint("balanced", 0.5, 0.9, 0.9)
MASK = np.pad(np.ones((8, 8), np.bool_), 4)
SR, SEG = SR_SOP_CLASSES["comprehensive"], SOP_CLASSES["seg"]
EVERY_SR = frozenset(SR_SOP_CLASSES.values())
UNREAD = History()
RIS = HL7Destination("ris", "h", 1, allow_empty_patient_id=True)


def read(name: str = "p", presence: Presence = Presence.PRESENT, version: str = "1") -> Findings:
    """A reading with one finding; what is present has a region and is urgent."""
    there = presence is Presence.PRESENT
    segment = Segment(MASK, "test") if there else None
    finding = Finding(PNEUMOTHORAX, presence, 0.9, POINT, PLEURA, urgent=there, segment=segment)
    return Findings(Algorithm(name, version, version * 8), (finding,))


def refused(name: str = "p") -> Findings:
    return Findings(Algorithm(name, "1", ""), not_analysed="lateral")


NEGATIVE, POSITIVE, REFUSED = read(presence=Presence.ABSENT), read(), refused()


def planned(
    *said: Findings,
    route: Route | None = None,
    routes: tuple[Route, ...] = (),
    history: History = UNREAD,
    takes: Mapping[str, Capabilities] | None = None,
    receivers: tuple[HL7Destination | FhirDestination, ...] = (RIS,),
    patient_id: str = "P1",
) -> Plan:
    """Plan for one image that every route had read by all pipelines."""
    routes = routes or (route or Route("chest", send_to=("pacs",)),)
    answers = {PipelineRequest(one.algorithm.name): one for one in said}
    return plan(
        claim(tuple(one.name for one in routes), tuple(said), patient_id),
        answers,
        {one.name: one for one in routes},
        history,
        Destinations(takes or {"pacs": Capabilities()}, {one.name: one for one in receivers}),
        NOW,
    )


def claim(routes: tuple[str, ...], said: tuple[Findings, ...], patient_id: str) -> Claim:
    instance = Instance(InstanceRef("1.2", "1.2.3"), "1.4", "1.5", "1.6", patient_id)
    arrival = Arrival(instance, StoredFile("k", "", 0), "CR", "AI", "h", 0.0)
    jobs = tuple(Job(n, one.algorithm.name, routes, 1) for n, one in enumerate(said))
    return Claim(1, arrival, jobs, "w", 0.0)


def kinds(made: Plan) -> list[ObjectKind]:
    return [one.kind for one in made.objects]


def after(made: Plan, *said: Findings) -> History:
    """The history of an image whose plan was carried out."""
    of = {one.uid: one for one in made.objects}
    sent = tuple(
        Sent(
            one.destination,
            of[one.sop_instance_uid].slot,
            of[one.sop_instance_uid].kind,
            InstanceRef("1.2", one.sop_instance_uid),
            "1.9",
            NOW - 1,
        )
        for one in made.deliveries
    )
    concluded = {one.algorithm.name: conclusion(findings_as_json(one)) for one in said}
    return History(sent, concluded)


@pytest.mark.parametrize(
    ("said", "report_refusal", "expected"),
    [
        (POSITIVE, False, ["seg", "sr", "sc", "gsps", "kos", "pdf"]),
        (NEGATIVE, False, ["sr", "sc", "pdf"]),
        (REFUSED, False, []),
        (REFUSED, True, ["text_sr"]),  # TID 1500 cannot say why nothing was measured
    ],
)
def test_what_has_nothing_to_say_is_not_planned(
    said: Findings, report_refusal: bool, expected: list[ObjectKind]
) -> None:
    outputs = ("seg", "sr", "sc", "gsps", "kos", "pdf")
    route = Route("chest", outputs=outputs, send_to=("pacs",), report_not_analysed=report_refusal)
    made = planned(said, route=route)
    assert kinds(made) == expected
    assert [one.sop_instance_uid for one in made.deliveries] == [one.uid for one in made.objects]


@pytest.mark.parametrize(
    ("outputs", "refusing", "expected"),
    [
        (("sr",), frozenset(), ["sr"]),
        (("sr",), frozenset({SR}), ["sr"]),  # in a plainer class
        (("sr",), EVERY_SR, ["text_sr"]),
        (("sr",), EVERY_SR | {SOP_CLASSES["text_sr"]}, ["sc"]),
        (("seg", "sc"), frozenset({SEG}), ["sc"]),  # which stands in for both, once
        (("kos",), frozenset({SOP_CLASSES["kos"]}), ["kos"]),  # a person sees it fail
    ],
)
def test_a_destination_gets_the_best_form_that_it_takes(
    outputs: tuple[str, ...], refusing: frozenset[str], expected: list[ObjectKind]
) -> None:
    route = Route("chest", outputs=outputs, send_to=("pacs",))  # type: ignore[arg-type]
    made = planned(POSITIVE, route=route, takes={"pacs": Capabilities(refused=refusing)})
    assert kinds(made) == expected
    replaced = [one for one in made.replaced if one.destination == "pacs"]
    assert len(replaced) == (1 if refusing and outputs != ("kos",) else 0)


def test_every_destination_is_served_by_its_own_protocol_and_what_is_equal_is_made_once() -> None:
    route = Route("chest", outputs=("sc", "sr"), send_to=("pacs", "cloud"))
    takes = {"pacs": Capabilities(), "cloud": Capabilities("stow", "enhanced")}
    made = planned(NEGATIVE, route=route, takes=takes)
    assert kinds(made) == ["sc", "sr", "sr"]  # two classes of SR are two objects
    assert len({one.uid for one in made.objects}) == 3
    sent = [(one.destination, one.protocol, one.priority) for one in made.deliveries]
    assert sent == [("pacs", "dicom", "routine")] * 2 + [("cloud", "stow", "routine")] * 2


def test_routes_share_what_they_want_alike_and_the_first_says_how_urgent() -> None:
    routes = tuple(
        Route(name, outputs=("sc",), send_to=("pacs",), priority=priority)
        for name, priority in (("one", "high"), ("two", "low"))
    )
    made = planned(NEGATIVE, routes=routes)
    assert [(one.kind, one.slot) for one in made.objects] == [("sc", "one/sc/p")]
    assert [one.priority for one in made.deliveries] == ["high"]


@pytest.mark.parametrize(("combine", "expected"), [(True, [2]), (False, [1, 1])])
def test_pipelines_share_a_set_or_have_one_each(combine: bool, expected: list[int]) -> None:
    route = Route("chest", outputs=("sr",), send_to=("pacs",), combine=combine)
    made = planned(read("a"), read("b", Presence.ABSENT), route=route)
    assert [len(one.findings) for one in made.objects] == expected
    priorities = [one.priority for one in made.deliveries]
    assert priorities == (["urgent"] if combine else ["urgent", "routine"])


@pytest.mark.parametrize(
    ("outputs", "refusing", "expected"),
    [
        (("seg", "sr"), frozenset(), True),
        (("sr",), frozenset(), False),  # no SEG goes there
        (("seg", "sr"), frozenset({SEG}), False),  # nor here
    ],
)
def test_a_report_refers_to_the_seg_only_where_that_arrives(
    outputs: tuple[str, ...], refusing: frozenset[str], expected: bool
) -> None:
    route = Route("chest", outputs=outputs, send_to=("pacs",))  # type: ignore[arg-type]
    made = planned(POSITIVE, route=route, takes={"pacs": Capabilities(refused=refusing)})
    (report,) = [one for one in made.objects if one.kind == "sr"]
    assert report.references_seg is expected


def test_a_report_sent_before_the_seg_was_refused_stays_as_it_is() -> None:
    route = Route("chest", outputs=("seg", "sr"), send_to=("pacs",))
    first = planned(POSITIVE, route=route)
    refusing = {"pacs": Capabilities(refused=frozenset({SEG}))}
    again = planned(POSITIVE, route=route, history=after(first, POSITIVE), takes=refusing)
    assert {one.uid for one in first.objects} & {one.uid for one in again.objects} == {
        one.uid for one in first.objects if one.kind == "sr"
    }


def test_a_new_reading_takes_the_place_of_the_old_and_has_it_rejected() -> None:
    route = Route("chest", outputs=("sr", "sc"), send_to=("pacs",))
    takes = {"pacs": Capabilities("stow", wants_rejection=True)}
    first = planned(POSITIVE, route=route, takes=takes)
    assert kinds(first) == ["sr", "sc"]
    newer = read(version="2")
    second = planned(newer, route=route, takes=takes, history=after(first, POSITIVE))
    assert kinds(second) == ["sr", "sc", "rejection"]
    old = [one.uid for one in first.objects]
    assert [one.ref.sop_instance_uid for one in second.objects[0].before] == old[:1]
    assert [one.ref.sop_instance_uid for one in second.objects[2].before] == old
    note = second.deliveries[-1]
    assert (note.protocol, note.priority, note.after_objects) == ("stow", "routine", True)
    same = planned(POSITIVE, route=route, takes=takes, history=after(first, POSITIVE))
    assert [one.uid for one in same.objects] == old  # a repeat replaces nothing


@pytest.mark.parametrize(
    ("patient_id", "receiver", "expected"),
    [
        ("P1", HL7Destination("ris", "h", 1), [("oru", "mllp", False)]),
        ("", HL7Destination("ris", "h", 1), []),
        ("", RIS, [("oru", "mllp", False)]),
        ("P1", FhirDestination("ris", "https://h"), [("fhir", "fhir", False)]),
        ("P1", replace(RIS, release="after_objects"), [("oru", "mllp", True)]),
    ],
)
def test_a_message_goes_where_a_patient_can_be_named(
    patient_id: str,
    receiver: HL7Destination | FhirDestination,
    expected: list[tuple[str, str, bool]],
) -> None:
    route = Route("chest", notify=("ris",))
    made = planned(POSITIVE, route=route, receivers=(receiver,), patient_id=patient_id)
    sent = [(one.protocol, one.after_objects) for one in made.deliveries]
    assert [(kind, *how) for kind, how in zip(kinds(made), sent, strict=True)] == expected


def test_a_message_takes_back_what_is_concluded_no_more() -> None:
    route = Route("chest", notify=("ris",), urgent_only=True)
    first = planned(POSITIVE, route=route)
    assert [one.corrected for one in first.objects] == [False]
    later = read(presence=Presence.ABSENT, version="2")
    second = planned(later, route=route, history=after(first, POSITIVE))
    assert [one.corrected for one in second.objects] == [True]
    assert second.objects[0].slot == first.objects[0].slot == "chest/oru/"


def test_who_stands_by_hears_one_after_the_other() -> None:
    mute = HL7Destination("mute", "h", 2)  # takes no message without a patient identifier
    ward, pager = replace(RIS, name="ward"), replace(RIS, name="pager")
    ris = replace(RIS, escalation=("ward", "mute", "pager"), escalate_after_s=60)
    receivers, route = (ris, ward, mute, pager), Route("chest", notify=("ris",), urgent_only=False)
    made = planned(POSITIVE, route=route, receivers=receivers, patient_id="")
    assert [(one.destination, one.place, one.due_at) for one in made.escalations] == [
        ("ward", 1, NOW + 60),
        ("pager", 3, NOW + 180),
    ]
    message, *spares = made.objects
    assert {one.instead_of for one in made.escalations} == {message.uid}
    assert [one.uid for one in spares] == [one.sop_instance_uid for one in made.escalations]
    assert [one.destination for one in made.deliveries] == ["ris"]
    healthy = planned(NEGATIVE, route=route, receivers=receivers, patient_id="")
    assert (len(healthy.deliveries), healthy.escalations) == (1, ())


def test_a_claim_whose_routes_are_gone_is_given_up() -> None:
    gone = claim(("chest",), (POSITIVE,), "P1")
    with pytest.raises(GiveUp, match="chest is no longer in the configuration"):
        plan(gone, {}, {}, UNREAD, Destinations({}, {}), NOW)
