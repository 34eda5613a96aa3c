"""One association as its acceptor sees it: bytes in, events out.

Data set and command come out piece by piece as they arrive, as views of what was given
in: nothing is copied or kept, whatever a PDU says of its length. Of all other PDUs no
more than LARGEST_ASSOCIATE bytes are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dicom_node.network.dimse.upper_layer import pdu
from dicom_node.network.dimse.upper_layer.pdu import AssociateAccept, AssociateRequest, PDUError
from dicom_node.network.dimse.upper_layer.state import ACTIONS, NEXT_STATE, Action, Event, State

LARGEST_PDU = 16 << 20
"""Bytes of a P-DATA-TF; senders that ignore our limit are served so far and no further."""
MOST_EMPTY = 256
"""Empty presentation data values in a row; they cost us more than their sender."""

SERVICE_USER, SERVICE_PROVIDER = 0, 2
"""Who aborts (PS3.8 table 9-26)."""
NOT_SPECIFIED, UNRECOGNISED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 0, 1, 2, 6
"""Why the service provider aborts."""

_PDV_HEAD = 6
_LAST, _COMMAND = 2, 1
"""Bits of the message control header (PS3.8 annex E.2)."""
_EVENTS = {
    pdu.ASSOCIATE_RQ: Event.ASSOCIATE_RQ,
    pdu.ASSOCIATE_AC: Event.ASSOCIATE_AC,
    pdu.ASSOCIATE_RJ: Event.ASSOCIATE_RJ,
    pdu.P_DATA_TF: Event.P_DATA_TF,
    pdu.RELEASE_RQ: Event.RELEASE_RQ,
    pdu.RELEASE_RP: Event.RELEASE_RP,
    pdu.ABORT: Event.ABORT_PDU,
}


class Data(NamedTuple):  # not a dataclass: made for every piece, and three times as fast
    """A piece of a message, as much of a fragment as has come."""

    context_id: int
    is_command: bool
    content: memoryview
    """Of the bytes that were given to `receive`, so only good until the next call."""
    ends: bool
    """Whether the command or data set ends with it."""


@dataclass(frozen=True, slots=True)
class Requested:
    """An association is asked for; answer by `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer has nothing more to say; answer by `release`."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The association is over; send `answer`, if any, and close the connection."""

    reason: str
    """In words, without anything that was sent."""
    answer: bytes = b""


class Connection:
    """An association from its first byte on; not safe to share between threads."""

    def __init__(self) -> None:
        self.state = State.AWAITING_REQUEST
        self._head = bytearray()
        """Of a PDU or a presentation data value, as long as it is not complete."""
        self._body = bytearray()
        self._kind = 0
        """Type of the PDU that is coming, 0 between two."""
        self._pdu_left = 0
        """Bytes of that PDU that are yet to come."""
        self._value_left = -1
        """Bytes of the presentation data value that are yet to come; -1 between two."""
        self._context_id, self._control = 0, 0
        self._empty_in_a_row = 0

    def receive(
        self, received: memoryview
    ) -> Iterator[Requested | Data | ReleaseRequested | Ended]:
        """Take bytes as they come; give the events that they bring.

        The events must be taken to the end before more is received. After Ended, and
        once our side has answered the end, bytes are passed over.
        """
        at, size = 0, len(received)
        try:
            while at < size and self.state not in (State.AWAITING_CLOSE, State.IDLE):
                if not self._kind:
                    at = self._take_head(received, at, pdu.HEAD_BYTES)
                    if len(self._head) == pdu.HEAD_BYTES:
                        yield from self._begin_pdu()
                elif self._kind == pdu.P_DATA_TF:
                    at, data = self._take_data(received, at)
                    if data is not None:
                        yield data
                else:
                    taken = received[at : at + self._pdu_left]
                    at += len(taken)
                    self._body += taken
                    self._pdu_left -= len(taken)
                    if not self._pdu_left:
                        yield from self._complete()
        except PDUError as error:
            yield self._break_off(Event.INVALID_PDU, INVALID_PARAMETER, str(error))

    def close(self) -> Ended:
        """Note that the peer closed the connection."""
        within = self._kind or self._head
        awaited = self.state == State.AWAITING_REQUEST
        self._do(Event.CLOSED)
        if awaited:
            return Ended("the request was cut off" if within else "no association was requested")
        return Ended("the connection was cut" if within else "the connection was closed")

    def accept(self, answer: AssociateAccept) -> bytes:
        """Accept the association; gives what is to be sent."""
        self._do(Event.ACCEPT)
        return pdu.encode_accept(answer)

    def reject(self, result: int, source: int, reason: int) -> bytes:
        """Reject the association (PS3.8 table 9-21); gives what is to be sent."""
        self._do(Event.REJECT)
        return pdu.encode_reject(result, source, reason)

    def send_command(self, context_id: int, fragments: Iterator[bytes]) -> bytes:
        """Encode the fragments of a command, one a PDU; gives what is to be sent."""
        self._do(Event.SEND_DATA)
        return b"".join(pdu.encode_value(context_id, fragment) for fragment in fragments)

    def release(self) -> bytes:
        """Answer the peer's release; gives what is to be sent."""
        self._do(Event.RELEASE)
        return pdu.encode_release_response()

    def abort(self, source: int = SERVICE_USER, reason: int = NOT_SPECIFIED) -> bytes:
        """End the association at once; gives what is to be sent, b"" where nobody reads it.

        PS3.8 table 9-10 knows no abort of ours before a request is complete: who has
        begun one gets an answer all the same.
        """
        if self.state in (State.IDLE, State.AWAITING_CLOSE):
            return b""
        if (self.state, Event.ABORT) in ACTIONS:
            self._do(Event.ABORT)
        else:
            self._do(Event.ARTIM_EXPIRED)
            if not (self._kind or self._head):
                return b""
        return pdu.encode_abort(source, reason)

    def _do(self, event: Event) -> Action:
        """Move on; raises KeyError for what our own side must not do now."""
        action = ACTIONS[self.state, event]
        self.state = NEXT_STATE[action]
        return action

    def _take_head(self, received: memoryview, at: int, size: int) -> int:
        """Complete a head of six bytes as far as it has come; gives the place behind."""
        taken = received[at : at + size - len(self._head)]
        self._head += taken
        return at + len(taken)

    def _begin_pdu(self) -> Iterator[Ended]:
        """Look at type and length before anything is kept; raises PDUError."""
        kind, length = pdu.decode_head(self._head)
        self._head.clear()
        event = _EVENTS.get(kind)
        if event is None:
            yield self._break_off(Event.INVALID_PDU, UNRECOGNISED_PDU, "no DICOM was spoken")
            return
        if ACTIONS[self.state, event] in (Action.AA_1, Action.AA_8):
            yield self._break_off(event, UNEXPECTED_PDU, f"a PDU of type {kind} was out of turn")
            return
        if kind == pdu.P_DATA_TF:
            if length > LARGEST_PDU:
                raise PDUError("a P-DATA-TF PDU is too long")
            if not length:
                self._note_empty(length)
        elif kind == pdu.ASSOCIATE_RQ:
            if length > pdu.LARGEST_ASSOCIATE:
                raise PDUError(f"the request is longer than {pdu.LARGEST_ASSOCIATE >> 10} KiB")
            if not length:
                raise PDUError("the request is empty")
        elif length != pdu.SHORT:
            raise PDUError(f"a PDU of type {kind} has a wrong length")
        self._kind, self._pdu_left = (kind, length) if length else (0, 0)

    def _complete(self) -> Iterator[Requested | ReleaseRequested | Ended]:
        """Give what a PDU says that has come whole; raises PDUError."""
        kind, body = self._kind, bytes(self._body)
        self._kind = 0
        self._body.clear()
        if kind == pdu.ASSOCIATE_RQ:
            request = pdu.decode_request(body)
            self._do(Event.ASSOCIATE_RQ)
            yield Requested(request)
        elif kind == pdu.RELEASE_RQ:
            self._do(Event.RELEASE_RQ)
            yield ReleaseRequested()
        else:
            self._do(Event.ABORT_PDU)
            yield Ended("the peer aborted")

    def _take_data(self, received: memoryview, at: int) -> tuple[int, Data | None]:
        """Take what has come of a presentation data value; raises PDUError."""
        if self._value_left < 0:
            if len(self._head) + self._pdu_left < _PDV_HEAD:
                raise PDUError("a presentation data value is cut")
            before = at
            at = self._take_head(received, at, _PDV_HEAD)
            self._pdu_left -= at - before
            if len(self._head) < _PDV_HEAD:
                return at, None
            self._value_left = int.from_bytes(self._head[:4], "big") - 2
            self._context_id, self._control = self._head[4], self._head[5]
            self._head.clear()
            if not 0 <= self._value_left <= self._pdu_left:
                raise PDUError("a presentation data value has a wrong length")
            self._note_empty(self._value_left)
        content = received[at : at + self._value_left]
        if not content and self._value_left:
            return at, None
        self._value_left -= len(content)
        self._pdu_left -= len(content)
        ends = not self._value_left and bool(self._control & _LAST)
        if not self._value_left:
            self._value_left = -1
        if not self._pdu_left:
            self._kind = 0
        piece = Data(self._context_id, bool(self._control & _COMMAND), content, ends)
        return at + len(content), piece

    def _note_empty(self, length: int) -> None:
        """Count what brings nothing; raises PDUError for a run of it."""
        self._empty_in_a_row = 0 if length else self._empty_in_a_row + 1
        if self._empty_in_a_row > MOST_EMPTY:
            raise PDUError("too many presentation data values are empty")

    def _break_off(self, event: Event, reason: int, words: str) -> Ended:
        self._do(event)
        return Ended(words, pdu.encode_abort(SERVICE_PROVIDER, reason))
