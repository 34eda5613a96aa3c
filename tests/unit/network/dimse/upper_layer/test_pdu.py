"""Association PDUs: read as others write them, written as others read them, bounded."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from dicom_node.network.dimse.upper_layer.pdu import (
    APPLICATION_CONTEXT_NAME,
    LARGEST_ASSOCIATE,
    MOST_CONTEXTS,
    AssociateAccept,
    ContextResult,
    PDUError,
    ProposedContext,
    Role,
    UserInformation,
    decode_accept,
    decode_request,
    encode_accept,
)
from tests.support.raw_scu import CR, EXPLICIT, IMPLICIT

TITLES = b"CXRAI".ljust(16), b"XRAY1".ljust(16)
UIDS = st.sampled_from([CR, EXPLICIT, IMPLICIT, "1.2.3"])


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def body(*items: bytes) -> bytes:
    return struct.pack(">HH", 1, 0) + b"".join(TITLES) + bytes(32) + b"".join(items)


APPLICATION = item(0x10, APPLICATION_CONTEXT_NAME.encode())
USER = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))


def proposed(*sub_items: bytes, context_id: int = 1) -> bytes:
    return item(0x20, bytes([context_id, 0, 0, 0]) + b"".join(sub_items))


def test_what_pynetdicom_asks_for_is_read() -> None:
    asked = A_ASSOCIATE()
    asked.application_context_name = UID(APPLICATION_CONTEXT_NAME)
    asked.calling_ae_title, asked.called_ae_title = "XRAY1", "CXRAI"
    contexts = [build_context(CR, [EXPLICIT, IMPLICIT]), build_context("1.2.840.10008.1.1")]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    asked.presentation_context_definition_list = contexts
    length, uid = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 131072
    uid.implementation_class_uid = UID("1.2.3.4")
    name, role = ImplementationVersionNameNotification(), SCP_SCU_RoleSelectionNegotiation()
    name.implementation_version_name = "SENDER 1"
    role.sop_class_uid, role.scu_role, role.scp_role = UID(CR), False, True
    asked.user_information = [length, uid, name, role]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    found = decode_request(pdu.encode()[6:])
    assert (found.calling_ae, found.called_ae, found.protocol_version) == ("XRAY1", "CXRAI", 1)
    assert found.application_context == APPLICATION_CONTEXT_NAME
    assert found.contexts[0] == ProposedContext(1, CR, (EXPLICIT, IMPLICIT))
    assert found.contexts[1].abstract_syntax == "1.2.840.10008.1.1"
    roles = (Role(CR, scu=False, scp=True),)
    assert found.user == UserInformation(131072, "1.2.3.4", "SENDER 1", roles)


@given(
    st.lists(st.tuples(UIDS, st.integers(0, 4)), max_size=MOST_CONTEXTS),
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.tuples(UIDS, st.booleans(), st.booleans()), max_size=3),
)
def test_what_is_accepted_reads_back_here_and_in_pynetdicom(
    results: list[tuple[str, int]], limit: int, roles: list[tuple[str, bool, bool]]
) -> None:
    user = UserInformation(limit, "1.2.3", "NODE", tuple(Role(*role) for role in roles))
    accept = AssociateAccept(
        *TITLES,
        tuple(ContextResult(2 * at + 1, result, uid) for at, (uid, result) in enumerate(results)),
        user,
    )
    encoded = encode_accept(accept)
    assert decode_accept(encoded[6:]) == accept
    theirs = A_ASSOCIATE_AC()
    theirs.decode(encoded)
    assert theirs.user_information is not None
    assert theirs.user_information.maximum_length == limit
    assert [(one.context_id, one.result) for one in theirs.presentation_context] == [
        (one.context_id, one.result) for one in accept.results
    ]


@pytest.mark.parametrize("kind", [0x53, 0x56, 0x57, 0x58, 0x59, 0x60, 0x99, 0x00, 0xFF])
def test_user_information_that_is_unknown_is_passed_over(kind: int) -> None:
    """PS3.8 annex D.2, note 2."""
    odd = item(0x50, item(kind, b"any") + item(0x51, struct.pack(">L", 99)) + item(kind, b""))
    assert decode_request(body(APPLICATION, odd)).user.max_length == 99
    assert decode_accept(body(APPLICATION, odd)).user.max_length == 99


def test_unknown_items_are_passed_over() -> None:
    context = proposed(item(0x30, CR.encode()), item(0x77, b"?"), item(0x40, EXPLICIT.encode()))
    found = decode_request(body(item(0x99, b"unknown"), APPLICATION, context, USER))
    assert found.contexts == (ProposedContext(1, CR, (EXPLICIT,)),)


@pytest.mark.parametrize(
    ("sub_items", "expected"),
    [
        ([item(0x30, CR.encode())], ProposedContext(1, CR, ())),
        ([item(0x30, CR.encode()), item(0x40, b"")], ProposedContext(1, CR, ())),
        ([item(0x40, EXPLICIT.encode())], ProposedContext(1, "", (EXPLICIT,))),
        ([item(0x30, CR.encode() + b"\0"), item(0x40, b"1.2 ")], ProposedContext(1, CR, ("1.2",))),
        ([], ProposedContext(1, "", ())),
    ],
)
def test_contexts_that_lack_something(sub_items: list[bytes], expected: ProposedContext) -> None:
    assert decode_request(body(APPLICATION, proposed(*sub_items))).contexts == (expected,)


@pytest.mark.parametrize(
    "sub_item",
    [
        item(0x51, b"\1"),
        item(0x51, bytes(8)),
        item(0x54, b"\0\5x"),
        item(0x54, b""),
        item(0x52, b""),
    ],
)
def test_user_information_of_a_wrong_length_was_not_said(sub_item: bytes) -> None:
    assert decode_request(body(APPLICATION, item(0x50, sub_item))).user == UserInformation()


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (b"", "is cut"),
        (bytes(67), "is cut"),
        (body(APPLICATION)[:-1], "longer than the PDU"),
        (body(APPLICATION, b"\x10\0"), "an item of the association PDU is cut"),
        (body(item(0x20, b"\1\0")), "context is cut"),
        (body(proposed(b"\x30\0\0\x7f1.2")), "longer than the PDU"),
        (body(item(0x50, b"\x51\0\xff\xff")), "longer than the PDU"),
        (body(APPLICATION, *[proposed()] * 129, USER), "more than 128 presentation contexts"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(encoded: bytes, words: str) -> None:
    with pytest.raises(PDUError, match=words):
        decode_request(encoded)


@given(st.binary(max_size=300), st.booleans())
def test_any_items_are_a_request_or_an_error(garbage: bytes, whole: bool) -> None:
    encoded = body(garbage) if whole else garbage
    for decode in (decode_request, decode_accept):
        try:
            found = decode(encoded)
        except PDUError:
            continue
        assert found.called_field == TITLES[0] or not whole


def test_the_largest_request_takes_little_memory() -> None:
    many = item(0x30, CR.encode()) + item(0x40, b"1") * 13_000
    contexts = [proposed(many, context_id=number) for number in (1, 3)]
    encoded = body(APPLICATION, *contexts, USER)
    assert len(encoded) < LARGEST_ASSOCIATE < len(encoded) + 3000
    tracemalloc.start()
    try:
        found = decode_request(encoded)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert [len(one.transfer_syntaxes) for one in found.contexts] == [13_000, 13_000]
