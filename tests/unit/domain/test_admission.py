from dataclasses import replace

import pytest

from dicom_node.domain.admission import DX_FOR_PROCESSING, SECONDARY_CAPTURE, Route, admit
from dicom_node.domain.study import Instance, InstanceRef

CHEST = Instance(
    ref=InstanceRef("1.2.840.10008.5.1.4.1.1.1", "1.2.3"),
    study_uid="1.2",
    series_uid="1.2.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CR",
    body_part="CHEST",
    view_position="PA",
    rows=2000,
    columns=2000,
)
ROUTES = (Route("chest", send_to=("pacs",)),)


def test_frontal_chest_becomes_one_job() -> None:
    admission = admit(CHEST, "CR1", ROUTES)
    assert [(job.pipeline, job.routes) for job in admission.jobs] == [("pneumothorax", ("chest",))]
    assert admission.not_analysed is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"made_by_node": True}, "own result"),
        ({"ref": InstanceRef(DX_FOR_PROCESSING, "1.2.3")}, "for processing"),
        ({"frames": 2}, "multi-frame"),
        ({"samples_per_pixel": 3}, "colour"),
        ({"ref": InstanceRef(SECONDARY_CAPTURE, "1.2.3"), "burned_in": True}, "burned-in"),
        ({"view_position": "LL"}, "view LL"),
        ({"rows": 0}, "no pixels"),
        ({"rows": 255}, "too small"),
        ({"rows": 30_000}, "too large"),
        ({"rows": 15_000, "columns": 15_000}, "too large"),
        ({"modality": "CT"}, "modality CT"),
        ({"body_part": "HAND"}, "body part HAND"),
    ],
)
def test_unsuitable_gets_its_reason(change: dict[str, object], words: str) -> None:
    admission = admit(replace(CHEST, **change), "CR1", ROUTES)  # type: ignore[arg-type]
    assert admission.jobs == ()
    assert words in (admission.not_analysed or "")


@pytest.mark.parametrize(
    ("route", "view", "read"),
    [
        (("PA", "AP", ""), "STEHEND", True),
        (("PA", "AP"), "STEHEND", False),
        (("PA", "STEHEND"), "STEHEND", True),
        (("PA ERECT",), "PA", True),
        (("PA",), "", False),
        (("PA", ""), "AP", False),
        (("PA", "AP", "", "LL"), "LL", False),
    ],
)
def test_the_route_decides_about_views(route: tuple[str, ...], view: str, read: bool) -> None:
    admission = admit(replace(CHEST, view_position=view), "CR1", (Route("chest", view=route),))
    assert bool(admission.jobs) == read


def test_burned_in_cr_is_still_read() -> None:
    assert admit(replace(CHEST, burned_in=True), "CR1", ROUTES).jobs


def test_two_routes_share_one_job_at_the_higher_priority() -> None:
    routes = (Route("a", priority="low"), Route("b", callers=("CR1",), priority="high"))
    (job,) = admit(CHEST, "CR1", routes).jobs
    assert (job.routes, job.priority) == (("a", "b"), "high")
    (job,) = admit(CHEST, "CR2", routes).jobs
    assert (job.routes, job.priority) == (("a",), "low")


def test_a_route_that_reports_refusals_gets_a_job_for_the_unsuitable() -> None:
    routes = (Route("silent"), Route("speaking", report_not_analysed=True))
    lateral = replace(CHEST, view_position="LL")
    assert [job.routes for job in admit(lateral, "CR1", routes).jobs] == [("speaking",)]
    hand = replace(lateral, body_part="HAND")
    assert admit(hand, "CR1", routes).not_analysed == "view LL, not frontal"
    assert admit(replace(lateral, made_by_node=True), "CR1", routes).jobs == ()
