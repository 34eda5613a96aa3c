"""PDUs of association control: bounded decoding, and encoding (PS3.8 9.3).

What a stranger sends is looked at here before anything is known of it. So no more than
LARGEST_ASSOCIATE bytes and MOST_CONTEXTS contexts are decoded, unknown items are passed
over (PS3.8 9.3.1, annex D.2 note 2), and whatever is wrong beyond that is one error.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF = 1, 2, 3, 4
RELEASE_RQ, RELEASE_RP, ABORT = 5, 6, 7

LARGEST_ASSOCIATE = 128 << 10
"""Bytes of an A-ASSOCIATE PDU; a sender of all storage classes needs some 20,000."""
MOST_CONTEXTS = 128
"""Presentation contexts of an association: their identifiers are odd bytes (PS3.8 9.3.2.2)."""
HEAD_BYTES = 6
SHORT = 4
"""Bytes after the head of every PDU that is neither A-ASSOCIATE-RQ, -AC nor P-DATA-TF."""

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
"""DICOM's only application context (PS3.7 annex A.2.1)."""
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"

_HEAD = struct.Struct(">BxL")
_ITEM = struct.Struct(">BxH")
_APPLICATION_CONTEXT, _PROPOSED_CONTEXT, _CONTEXT_RESULT, _USER_INFORMATION = 0x10, 0x20, 0x21, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAX_LENGTH, _CLASS_UID, _ROLE, _VERSION_NAME = 0x51, 0x52, 0x54, 0x55
_FIXED = 68
"""Bytes of an A-ASSOCIATE-RQ or -AC before its first item."""
_TITLE = 16


class PDUError(Exception):
    """Bytes that are no PDU of PS3.8; says in words why, without quoting them."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context of a request (PS3.8 9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """What became of a presentation context (PS3.8 9.3.3.2)."""

    context_id: int
    result: int
    transfer_syntax: str
    """Of no meaning unless `result` is acceptance."""


@dataclass(frozen=True, slots=True)
class Role:
    """Which roles the requestor may take for a SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class UserInformation:
    """What either side says of itself (PS3.7 D.3.3); what we never use is left out."""

    max_length: int | None = None
    """Bytes of a P-DATA-TF that it takes; 0 is no limit, None was not said (PS3.8 D.1)."""
    implementation_class_uid: str = ""
    implementation_version: str = ""
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2); the titles are its fields, padding and all."""

    called_field: bytes
    calling_field: bytes
    application_context: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    protocol_version: int = 1

    @property
    def called_ae(self) -> str:
        """The called AE title, whatever it holds."""
        return _title(self.called_field)

    @property
    def calling_ae(self) -> str:
        """The calling AE title, whatever it holds."""
        return _title(self.calling_field)


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3); the titles go back as they came."""

    called_field: bytes
    calling_field: bytes
    results: tuple[ContextResult, ...]
    user: UserInformation
    application_context: str = APPLICATION_CONTEXT_NAME


def encode_head(kind: int, length: int) -> bytes:
    """Encode the six bytes that begin every PDU (PS3.8 9.3.1)."""
    return _HEAD.pack(kind, length)


def decode_head(head: bytes | bytearray) -> tuple[int, int]:
    """Give the type and the number of bytes that follow."""
    kind, length = _HEAD.unpack(head)
    return kind, length


def decode_request(body: bytes) -> AssociateRequest:
    """Decode an A-ASSOCIATE-RQ without its head; raises PDUError."""
    application, contexts, user = "", list[ProposedContext](), UserInformation()
    for kind, value in _variable_items(body):
        if kind == _APPLICATION_CONTEXT:
            application = _uid(value)
        elif kind == _PROPOSED_CONTEXT:
            if len(contexts) == MOST_CONTEXTS:
                raise PDUError(f"more than {MOST_CONTEXTS} presentation contexts")
            contexts.append(_proposed_context(value))
        elif kind == _USER_INFORMATION:
            user = _user_information(value)
    called, calling = _titles(body)
    version = int.from_bytes(body[:2], "big")
    return AssociateRequest(called, calling, application, tuple(contexts), user, version)


def decode_accept(body: bytes) -> AssociateAccept:
    """Decode an A-ASSOCIATE-AC without its head; raises PDUError."""
    application, results, user = "", list[ContextResult](), UserInformation()
    for kind, value in _variable_items(body):
        if kind == _APPLICATION_CONTEXT:
            application = _uid(value)
        elif kind == _CONTEXT_RESULT:
            if len(results) == MOST_CONTEXTS:
                raise PDUError(f"more than {MOST_CONTEXTS} presentation contexts")
            results.append(_context_result(value))
        elif kind == _USER_INFORMATION:
            user = _user_information(value)
    called, calling = _titles(body)
    return AssociateAccept(called, calling, tuple(results), user, application)


def encode_accept(accept: AssociateAccept) -> bytes:
    """Encode an A-ASSOCIATE-AC."""
    body = struct.pack(">H2x16s16s32x", 1, accept.called_field, accept.calling_field)
    body += _item(_APPLICATION_CONTEXT, accept.application_context.encode("latin-1"))
    for context in accept.results:
        syntax = _item(_TRANSFER_SYNTAX, context.transfer_syntax.encode("latin-1"))
        fixed = struct.pack(">BxBx", context.context_id, context.result)
        body += _item(_CONTEXT_RESULT, fixed + syntax)
    body += _item(_USER_INFORMATION, b"".join(_user_items(accept.user)))
    return encode_head(ASSOCIATE_AC, len(body)) + body


def encode_reject(result: int, source: int, reason: int) -> bytes:
    """Encode an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return encode_head(ASSOCIATE_RJ, SHORT) + bytes([0, result, source, reason])


def encode_release_response() -> bytes:
    """Encode an A-RELEASE-RP (PS3.8 9.3.7)."""
    return encode_head(RELEASE_RP, SHORT) + bytes(SHORT)


def encode_abort(source: int, reason: int) -> bytes:
    """Encode an A-ABORT (PS3.8 table 9-26)."""
    return encode_head(ABORT, SHORT) + bytes([0, 0, source, reason])


def encode_value(context_id: int, fragment: bytes) -> bytes:
    """Encode a P-DATA-TF of one presentation data value (PS3.8 9.3.5).

    The fragment begins with its message control header (PS3.8 annex E.2).
    """
    length = len(fragment) + 1
    return struct.pack(">BxLLB", P_DATA_TF, length + 4, length, context_id) + fragment


def _variable_items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Give type and value of each item behind the fixed fields; raises PDUError."""
    if len(body) < _FIXED:
        raise PDUError("association PDU is cut")
    yield from _items(body[_FIXED:])


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    offset, size = 0, len(encoded)
    while offset < size:
        if offset + _ITEM.size > size:
            raise PDUError("an item of the association PDU is cut")
        kind, length = _ITEM.unpack_from(encoded, offset)
        offset += _ITEM.size + length
        if offset > size:
            raise PDUError("an item of the association PDU is longer than the PDU")
        yield kind, encoded[offset - length : offset]


def _proposed_context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise PDUError("a presentation context is cut")
    abstract, transfers = "", list[str]()
    for kind, name in _items(value[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(name)
        elif kind == _TRANSFER_SYNTAX:
            transfers.append(_uid(name))
    return ProposedContext(value[0], abstract, tuple(filter(None, transfers)))


def _context_result(value: bytes) -> ContextResult:
    if len(value) < 4:
        raise PDUError("a presentation context is cut")
    syntaxes = [_uid(name) for kind, name in _items(value[4:]) if kind == _TRANSFER_SYNTAX]
    return ContextResult(value[0], value[2], syntaxes[0] if syntaxes else "")


def _user_information(value: bytes) -> UserInformation:
    max_length, class_uid, version, roles = None, "", "", list[Role]()
    for kind, content in _items(value):
        if kind == _MAX_LENGTH and len(content) == 4:
            max_length = int.from_bytes(content, "big")
        elif kind == _CLASS_UID:
            class_uid = _uid(content)
        elif kind == _VERSION_NAME:
            version = content.decode("latin-1").strip(" \0")
        elif kind == _ROLE and len(roles) < MOST_CONTEXTS:
            roles += _roles(content)
    return UserInformation(max_length, class_uid, version, tuple(roles))


def _roles(content: bytes) -> Iterator[Role]:
    """Give the role of a sub-item, none for one that is malformed."""
    length = int.from_bytes(content[:2], "big")
    if len(content) == 2 + length + 2:
        scu, scp = content[-2:]
        yield Role(_uid(content[2:-2]), bool(scu), bool(scp))


def _user_items(user: UserInformation) -> Iterator[bytes]:
    """Encode in the order of their types, as PS3.8 9.3.1 asks."""
    if user.max_length is not None:
        yield _item(_MAX_LENGTH, struct.pack(">L", user.max_length))
    if user.implementation_class_uid:
        yield _item(_CLASS_UID, user.implementation_class_uid.encode("latin-1"))
    for role in user.roles:
        uid = role.sop_class_uid.encode("latin-1")
        yield _item(_ROLE, struct.pack(">H", len(uid)) + uid + bytes([role.scu, role.scp]))
    if user.implementation_version:
        yield _item(_VERSION_NAME, user.implementation_version.encode("latin-1"))


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _titles(body: bytes) -> tuple[bytes, bytes]:
    return body[4 : 4 + _TITLE], body[4 + _TITLE : 4 + 2 * _TITLE]


def _title(field: bytes) -> str:
    """Read a title without its padding; some implementations pad with NULs."""
    return field.decode("latin-1").strip(" \0")


def _uid(value: bytes) -> str:
    """Read a UID without padding, which PS3.8 forbids and senders add all the same."""
    return value.decode("latin-1").strip(" \0")
