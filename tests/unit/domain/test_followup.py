"""What a new reading takes the place of."""

import pytest

from dicom_node.domain.followup import History, Sent, slot_of
from dicom_node.domain.study import InstanceRef
from dicom_node.domain.work import ObjectKind


def sent(slot: str, made_at: float = 1.0, kind: ObjectKind = "seg") -> Sent:
    return Sent("pacs", slot, kind, InstanceRef("1.2", f"2.25.{made_at:.0f}"), "1.3", made_at)


@pytest.mark.parametrize(
    ("slot", "replaced"),
    [
        (slot_of("chest", "seg", ("a", "b")), True),
        (slot_of("chest", "seg", ("a",)), True),
        (slot_of("chest", "seg", ("a", "c")), False),
        (slot_of("other", "seg", ("a",)), False),
        (slot_of("left/chest", "seg", ("a",)), False),
        ("", False),
    ],
)
def test_a_set_replaces_what_its_pipelines_made_for_its_route(slot: str, replaced: bool) -> None:
    old = sent(slot)
    history = History((old,))
    assert history.superseded("chest", ("a", "b"), "pacs") == ((old,) if replaced else ())
    assert history.superseded("chest", ("a", "b"), "elsewhere") == ()


def test_what_a_note_has_rejected_is_left_alone() -> None:
    slot = slot_of("chest", "sr", ("a",))
    note = sent(slot_of("chest", "rejection", ("a",)), 2.0, "rejection")
    new = sent(slot, 3.0)
    assert History((new, note, sent(slot, 1.0))).superseded("chest", ("a",), "pacs") == (new,)
