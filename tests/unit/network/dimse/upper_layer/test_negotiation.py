"""What is accepted of a request, and what is said against one."""

from dataclasses import replace

import pytest

from dicom_node.network.dimse.upper_layer.negotiation import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_NOT_RECOGNISED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    Agreed,
    Supported,
    is_ae_title,
    judge_request,
    limit_of,
    negotiate,
)
from dicom_node.network.dimse.upper_layer.pdu import (
    APPLICATION_CONTEXT_NAME,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Role,
    UserInformation,
)
from tests.support.raw_scu import CR, DX, EXPLICIT, IMPLICIT

JPEG = "1.2.840.10008.1.2.4.50"
PUSH_MODEL = "1.2.840.10008.1.20.1"
OURS = UserInformation(131072, "1.2.3", "NODE")
SUPPORTED = {
    CR: Supported((EXPLICIT, IMPLICIT)),
    PUSH_MODEL: Supported((EXPLICIT,), requestor_is_scp=True),
}
REQUEST = AssociateRequest(
    b"CXRAI".ljust(16), b" XRAY1".ljust(16), APPLICATION_CONTEXT_NAME, (), UserInformation()
)


def asked(*contexts: ProposedContext, roles: tuple[Role, ...] = ()) -> AssociateRequest:
    return replace(REQUEST, contexts=contexts, user=UserInformation(roles=roles))


def test_each_context_has_its_answer() -> None:
    request = asked(
        ProposedContext(1, CR, (JPEG, IMPLICIT, EXPLICIT)),
        ProposedContext(3, CR, (JPEG,)),
        ProposedContext(5, DX, (EXPLICIT,)),
        ProposedContext(7, CR, ()),
        ProposedContext(9, "", (EXPLICIT,)),
        ProposedContext(1, CR, (IMPLICIT,)),
    )
    accept, agreed = negotiate(request, SUPPORTED, OURS)
    assert accept.results == (
        ContextResult(1, 0, EXPLICIT),
        ContextResult(3, 4, JPEG),
        ContextResult(5, 3, EXPLICIT),
        ContextResult(7, 4, IMPLICIT),
        ContextResult(9, 3, EXPLICIT),
    )
    assert agreed == {1: Agreed(CR, EXPLICIT)}
    assert (accept.called_field, accept.calling_field) == (b"CXRAI".ljust(16), b" XRAY1".ljust(16))
    assert accept.user == OURS


@pytest.mark.parametrize(
    ("proposed", "result", "answered"),
    [
        ((), 0, ()),  # some never select roles and mean the reverse one all the same
        ((Role(PUSH_MODEL, scu=False, scp=True),), 0, (Role(PUSH_MODEL, scu=False, scp=True),)),
        ((Role(PUSH_MODEL, scu=True, scp=True),), 0, (Role(PUSH_MODEL, scu=False, scp=True),)),
        ((Role(PUSH_MODEL, scu=True, scp=False),), 1, ()),
        ((Role(CR, scu=True, scp=True),), 0, ()),
    ],
)
def test_the_requestor_may_be_the_provider(
    proposed: tuple[Role, ...], result: int, answered: tuple[Role, ...]
) -> None:
    """PS3.7 D.3.3.4."""
    contexts = ProposedContext(1, PUSH_MODEL, (EXPLICIT,)), ProposedContext(3, CR, (EXPLICIT,))
    accept, agreed = negotiate(asked(*contexts, roles=proposed), SUPPORTED, OURS)
    assert [one.result for one in accept.results] == [result, 0]
    assert accept.user.roles == answered
    assert (1 in agreed) == (result == 0)


def test_a_request_is_judged_before_anybody_is_looked_up() -> None:
    assert judge_request(REQUEST, "CXRAI") is None
    assert judge_request(REQUEST, "OTHER") == CALLED_AE_NOT_RECOGNISED
    wrong = replace(REQUEST, application_context="1.2.3")
    assert judge_request(wrong, "CXRAI") == APPLICATION_CONTEXT_NOT_SUPPORTED
    assert judge_request(replace(wrong, protocol_version=2), "X") == PROTOCOL_VERSION_NOT_SUPPORTED
    assert judge_request(replace(REQUEST, protocol_version=3), "CXRAI") is None
    assert APPLICATION_CONTEXT_NOT_SUPPORTED.code == "1/1/2"


@pytest.mark.parametrize(
    ("field", "title", "valid"),
    [
        (b"XRAY1".ljust(16), "XRAY1", True),
        (b" X RAY ".ljust(16), "X RAY", True),
        (b"XRAY1".ljust(16, b"\0"), "XRAY1", True),
        (b" " * 16, "", False),
        (bytes(16), "", False),
        (b"XRAY1\0" + b"\xa7" * 10, "XRAY1\0" + "\xa7" * 10, False),
        (b"R\xd6NTGEN".ljust(16), "R\xd6NTGEN", False),
        (b"A\\B".ljust(16), "A\\B", False),
    ],
)
def test_what_is_an_ae_title(field: bytes, title: str, valid: bool) -> None:
    request = replace(REQUEST, calling_field=field, called_field=field)
    assert request.calling_ae == request.called_ae == title
    assert is_ae_title(title) == valid


def test_a_peer_that_names_no_maximum_length_gets_small_pdus() -> None:
    assert [limit_of(UserInformation(one)) for one in (None, 0, 99)] == [16_384, 0, 99]
