"""Makes a peer's answer to our association request fit for pynetdicom.

pynetdicom aborts when the answer holds a user-information sub-item that it does not know,
a name that is not ASCII or an accepted context without transfer syntax, and reads as many
bytes as a PDU says. Here the answer is decoded first, within bounds, and what is
understood of it is encoded anew (PS3.8 annex D.2, note 2).
"""

from collections.abc import Callable
from dataclasses import replace

from pynetdicom.transport import AssociationSocket

from dicom_node.network.dimse.upper_layer import pdu
from dicom_node.network.dimse.upper_layer.connection import LARGEST_PDU
from dicom_node.network.dimse.upper_layer.negotiation import (
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    is_ae_title,
    limit_of,
)
from dicom_node.network.dimse.upper_layer.pdu import (
    APPLICATION_CONTEXT_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    AssociateAccept,
    ContextResult,
    PDUError,
    UserInformation,
)

_TITLE = b"PEER".ljust(16)


def guard_answer(association_socket: AssociationSocket) -> None:
    """Put the guard before what pynetdicom reads from a connection."""
    guard = AnswerGuard(association_socket.recv)
    association_socket.recv = guard  # type: ignore[method-assign, assignment] # no other hook


class AnswerGuard:
    """Reads for pynetdicom, which asks for the head of a PDU and then for its body."""

    def __init__(self, receive: Callable[[int], bytearray]) -> None:
        self._receive = receive
        self._body: bytes | None = None
        """The rest of an answer that was encoded anew."""
        self._within = False
        """Whether the body of a PDU is asked for next."""

    def __call__(self, count: int) -> bytearray:
        """Give so many bytes, fewer at the end; raises OSError for a PDU without bounds."""
        if self._within:
            self._within = False
            body, self._body = self._body, None
            return self._receive(count) if body is None else bytearray(body)
        head = self._receive(count)
        if len(head) < pdu.HEAD_BYTES:
            return head
        self._within = True
        kind, length = pdu.decode_head(head)
        if kind != pdu.ASSOCIATE_AC:
            most = LARGEST_PDU if kind == pdu.P_DATA_TF else pdu.LARGEST_ASSOCIATE
            if length > most:
                raise OSError("the peer's PDU is too long")
            return head
        if length > pdu.LARGEST_ASSOCIATE:
            raise OSError("the peer's answer is too long")
        encoded = bytes(self._receive(length))
        try:
            encoded = pdu.encode_accept(understood(pdu.decode_accept(encoded)))
        except PDUError as error:
            raise OSError(str(error)) from error
        self._body = encoded[pdu.HEAD_BYTES :]
        return bytearray(encoded[: pdu.HEAD_BYTES])


def understood(accept: AssociateAccept) -> AssociateAccept:
    """Leave out of an answer what nobody could make use of."""
    user = accept.user
    version = user.implementation_version
    return AssociateAccept(
        _TITLE,
        _TITLE,
        tuple(_usable(result) for result in accept.results if result.context_id % 2),
        UserInformation(
            limit_of(user),
            user.implementation_class_uid if _is_name(user.implementation_class_uid) else "",
            version if is_ae_title(version) else "",  # VR SH of 16, where the rules are alike
            tuple(role for role in user.roles if _is_name(role.sop_class_uid)),
        ),
        APPLICATION_CONTEXT_NAME,
    )


def _usable(context: ContextResult) -> ContextResult:
    """Take a context that was accepted without a transfer syntax as not accepted."""
    result = min(context.result, TRANSFER_SYNTAXES_NOT_SUPPORTED)
    if _is_name(context.transfer_syntax):
        return replace(context, result=result)
    refused = result or TRANSFER_SYNTAXES_NOT_SUPPORTED
    return ContextResult(context.context_id, refused, IMPLICIT_VR_LITTLE_ENDIAN)


def _is_name(uid: str) -> bool:
    return 0 < len(uid) <= 64 and uid.isascii() and uid.isprintable()
