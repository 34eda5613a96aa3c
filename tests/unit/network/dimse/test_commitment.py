"""What is made of reports, whatever they hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_node.domain.errors import Refused
from dicom_node.domain.exchange.commitment import (
    INVALID_ARGUMENT,
    MOST_ASKED,
    NO_SUCH_CLASS,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    SOME_MISSING,
    Report,
    Request,
    patience_s,
    remedy,
)
from dicom_node.domain.study import InstanceRef
from dicom_node.network.dimse.commitment import Event, action_information, answer
from tests.support.committing_pacs import SR, report


def encoded(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    content = encode(ds, syntax == ImplicitVRLittleEndian, True)
    assert content is not None
    return content


def event(content: bytes, syntax: str = ExplicitVRLittleEndian, uid: str = PUSH_MODEL) -> Event:
    return Event(uid, PUSH_MODEL_INSTANCE, SOME_MISSING, content, syntax)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_report_is_read_in_both_syntaxes(syntax: str) -> None:
    heard: list[Report] = []
    ds = report("1.2.9", ["1.2.1"], [("1.2.2", NO_SUCH_INSTANCE)])
    del ds.FailedSOPSequence[0].FailureReason
    assert answer(event(encoded(ds, syntax), syntax), heard.append) == (0x0000, "")
    # an instance whose failure has no reason has failed all the same
    assert heard == [Report("1.2.9", ("1.2.1",), (("1.2.2", PROCESSING_FAILURE),))]


def test_what_is_refused_is_answered_in_words() -> None:
    content = encoded(report("1.2.9", ["1.2.1"]))

    def unknown(_: Report) -> None:
        raise Refused(INVALID_ARGUMENT, "no such transaction of this peer")

    def broken(_: Report) -> None:
        raise ZeroDivisionError

    assert answer(event(content), unknown)[0] == INVALID_ARGUMENT
    assert answer(event(content), broken) == (PROCESSING_FAILURE, "internal error")
    assert answer(event(content, uid="1.2.3"), broken)[0] == NO_SUCH_CLASS


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 150), st.booleans())
def test_a_damaged_report_commits_to_nothing_else(noise: bytes, at: int, implicit: bool) -> None:
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    heard: list[Report] = []
    whole = encoded(report("1.2.9", ["1.2.1"], [("1.2.2", NO_SUCH_INSTANCE)]), syntax)
    status, _ = answer(event(whole[:at] + noise, syntax), heard.append)
    assert status == (0x0000 if heard else INVALID_ARGUMENT)
    assert len(heard) <= 1


def test_the_request_names_each_object_by_class_and_instance() -> None:
    ds = action_information(Request("1.2.9", "pacs", (InstanceRef(SR, "1.2.1"),)))
    (item,) = ds.ReferencedSOPSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (SR, "1.2.1")
    assert ds.TransactionUID == "1.2.9"


def test_patience_grows_and_ends() -> None:
    waits = [patience_s(3600, times) for times in range(1, MOST_ASKED + 1)]
    assert waits == [3600, 7200, 14400, 28800, 57600, 86400, 86400, 86400]
    assert patience_s(200_000, 3) == 200_000
    assert remedy(NO_SUCH_INSTANCE, MOST_ASKED) == "give up"
    assert remedy(0xFFFF, 1) == "send again"
