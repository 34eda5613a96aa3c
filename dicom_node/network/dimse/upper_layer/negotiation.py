"""What an association is accepted for, and why one is rejected (PS3.8 7.1.1, PS3.7 D.3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dicom_node.network.dimse.upper_layer.pdu import (
    APPLICATION_CONTEXT_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Role,
    UserInformation,
)

# results of a presentation context (PS3.8 table 9-18)
ACCEPTANCE = 0
USER_REJECTION = 1
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4

SMALLEST_LIMIT = 16_384
"""Bytes of a PDU for a peer that does not say how many it takes (PS3.8 D.1.1 asks it to)."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is not accepted: the three numbers of an A-ASSOCIATE-RJ, and words."""

    result: int
    source: int
    reason: int
    words: str

    @property
    def code(self) -> str:
        """The numbers, as "1/1/3"."""
        return f"{self.result}/{self.source}/{self.reason}"


APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(
    1, 1, 2, "the application context is not DICOM's (1.2.840.10008.3.1.1.1)"
)
CALLING_AE_NOT_RECOGNISED = Rejection(
    1, 1, 3, "the caller is not known, may not send, or calls from elsewhere"
)
CALLED_AE_NOT_RECOGNISED = Rejection(1, 1, 7, "the called AE title is not the node's")
PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2, "the protocol version is not 1")
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2, "too many associations are open, or the node is stopping")
OUR_REJECTIONS = (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLING_AE_NOT_RECOGNISED,
    CALLED_AE_NOT_RECOGNISED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    LOCAL_LIMIT_EXCEEDED,
)


@dataclass(frozen=True, slots=True)
class Supported:
    """What is accepted of an abstract syntax."""

    transfer_syntaxes: tuple[str, ...]
    """The preferred first."""
    requestor_is_scp: bool = False
    """Whether who asked for the association is the provider here (PS3.7 D.3.3.4)."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


def is_ae_title(text: str) -> bool:
    """Say whether a title, without its padding, is one (PS3.5 6.2, VR AE)."""
    return 0 < len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text


def judge_request(request: AssociateRequest, our_ae: str) -> Rejection | None:
    """Give what is against a request, whoever sent it."""
    if not request.protocol_version & 1:
        return PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context != APPLICATION_CONTEXT_NAME:
        return APPLICATION_CONTEXT_NOT_SUPPORTED
    if request.called_ae != our_ae:
        return CALLED_AE_NOT_RECOGNISED
    return None


def negotiate(
    request: AssociateRequest, supported: Mapping[str, Supported], ours: UserInformation
) -> tuple[AssociateAccept, dict[int, Agreed]]:
    """Give the answer to a request that is taken, and what is agreed by context ID.

    A context that cannot be accepted is answered with the reason; the others stand.
    """
    roles = {role.sop_class_uid: role for role in request.user.roles}
    results: dict[int, ContextResult] = {}
    agreed: dict[int, Agreed] = {}
    for context in request.contexts:
        if context.context_id in results:
            continue  # two of one number: the first was meant
        result = _judge_context(context, supported, roles.get(context.abstract_syntax))
        results[context.context_id] = result
        if result.result == ACCEPTANCE:
            agreed[context.context_id] = Agreed(context.abstract_syntax, result.transfer_syntax)
    accepted = {context.abstract_syntax for context in agreed.values()}
    answered = tuple(
        Role(uid, scu=False, scp=roles[uid].scp) for uid in _answered(roles, supported, accepted)
    )
    user = UserInformation(
        ours.max_length, ours.implementation_class_uid, ours.implementation_version, answered
    )
    accept = AssociateAccept(
        request.called_field, request.calling_field, tuple(results.values()), user
    )
    return accept, agreed


def limit_of(user: UserInformation) -> int:
    """Give how many bytes of a PDU the peer takes; 0 is no limit."""
    return SMALLEST_LIMIT if user.max_length is None else user.max_length


def _judge_context(
    context: ProposedContext, supported: Mapping[str, Supported], role: Role | None
) -> ContextResult:
    ours = supported.get(context.abstract_syntax)
    meaningless = next(iter(context.transfer_syntaxes), IMPLICIT_VR_LITTLE_ENDIAN)
    if ours is None:
        return ContextResult(context.context_id, ABSTRACT_SYNTAX_NOT_SUPPORTED, meaningless)
    chosen = next(
        (syntax for syntax in ours.transfer_syntaxes if syntax in context.transfer_syntaxes), None
    )
    if chosen is None:
        return ContextResult(context.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, meaningless)
    if ours.requestor_is_scp and role is not None and not role.scp:
        return ContextResult(context.context_id, USER_REJECTION, meaningless)
    return ContextResult(context.context_id, ACCEPTANCE, chosen)


def _answered(
    roles: Mapping[str, Role], supported: Mapping[str, Supported], accepted: set[str]
) -> Iterator[str]:
    """Give the classes whose roles are answered: no answer means the default roles."""
    for uid in roles:
        if uid in accepted and supported[uid].requestor_is_scp:
            yield uid
