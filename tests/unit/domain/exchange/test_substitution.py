"""The ladder from what a route asks for to what a peer takes."""

import pytest

from dicom_node.domain.exchange.substitution import (
    SOP_CLASSES,
    SR_SOP_CLASSES,
    ObjectForm,
    choose,
    fallbacks,
    form_of,
)
from dicom_node.domain.study import SRClass
from dicom_node.domain.work import OutputKind


def test_a_structured_report_descends_through_all_its_forms() -> None:
    assert [str(form) for form in fallbacks("sr", "comprehensive3d")] == [
        "sr (comprehensive3d)",
        "sr (comprehensive)",
        "sr (enhanced)",
        "text_sr",
        "sc",
    ]
    assert [str(form) for form in fallbacks("sr", "enhanced")] == ["sr (enhanced)", "text_sr", "sc"]


@pytest.mark.parametrize(
    ("kind", "taken", "sent"),
    [
        ("sr", ("enhanced", "text_sr", "sc"), "sr (enhanced)"),
        ("sr", ("text_sr", "sc"), "text_sr"),
        ("sr", ("sc",), "sc"),
        ("seg", ("sc",), "sc"),
        ("gsps", ("sc",), "sc"),
        ("pdf", ("text_sr", "sc"), "text_sr"),
        ("kos", ("sc",), "kos"),
        ("sr", (), "sr (comprehensive)"),  # nothing at all: the wanted one, for a dead letter
    ],
)
def test_the_first_form_that_is_taken_goes_out(
    kind: OutputKind, taken: tuple[str, ...], sent: str
) -> None:
    classes = {**SOP_CLASSES, **SR_SOP_CLASSES}
    uids = {classes[one] for one in taken}  # type: ignore[index] # names of both tables
    assert str(choose(kind, "comprehensive", lambda r: r.sop_class_uid not in uids)) == sent


@pytest.mark.parametrize("sr_class", SR_SOP_CLASSES)
def test_an_object_tells_its_rung(sr_class: SRClass) -> None:
    form = ObjectForm("sr", sr_class)
    assert form_of("sr", form.sop_class_uid) == form
    assert form_of("seg", SOP_CLASSES["seg"]) == ObjectForm("seg")
