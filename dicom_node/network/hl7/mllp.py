"""HL7 v2 over MLLP: framing, acknowledgements, sockets.

HL7 v2.5.1 chapter 2 (original acknowledgement mode, 2.9.2) over the Minimal
Lower Layer Protocol: 0x0B message 0x1C 0x0D. The first half is pure: bytes in,
messages out.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicom_node.domain.errors import GiveUp, NodeError, NotUnderstood, TryAgain
from dicom_node.domain.pipeline import Archive, Check
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import Acknowledgement, DeliveryBatch, Undelivered
from dicom_node.formats.hl7.text import AROUND
from dicom_node.network.tls.contexts import connect
from dicom_node.network.tls.sockets import Context, in_words

START = b"\x0b"
END = b"\x1c"
CLOSE = END + b"\r"
LARGEST_ANSWER = 1 << 20
LONGEST_NOTE = 400


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a connection and an answer may take, in seconds."""

    connect_s: float = 5
    answer_s: float = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """An MSA segment: code, the identifier it answers, and the receiver's text."""

    code: str
    control_id: str
    text: str = ""


def frame(message: bytes) -> bytes:
    """Wrap a message into one block; raises GiveUp when a framing byte is inside."""
    if not message or START in message or END in message:
        raise GiveUp("HL7 message is empty or contains an MLLP framing byte")
    return START + message + CLOSE


class Unframer:
    """Cuts a byte stream into messages; holds one unfinished block.

    A block ends with 0x1C alone: some receivers forget the 0x0D, and no message
    may contain 0x1C.
    """

    def __init__(self, largest: int = LARGEST_ANSWER) -> None:
        self._largest = largest
        self._block: bytearray | None = None

    @property
    def unfinished(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._block is not None

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Take bytes and yield the messages that they complete.

        White space and byte order marks between blocks are passed over. Raises
        NotUnderstood for other bytes there and for a block that is too long, after
        the messages before these: what was answered was answered.
        """
        while received:
            if self._block is None:
                received = received.lstrip(AROUND)
                if received and received[:1] != START:
                    raise NotUnderstood(
                        f"the answer is not MLLP: it starts with 0x{received[0]:02X}"
                    )
                self._block = bytearray() if received else None
                received = received[1:]
                continue
            inside, end, received = received.partition(END)
            self._block += inside
            if len(self._block) > self._largest:
                raise NotUnderstood(f"the answer is longer than {self._largest} bytes")
            if end:
                message, self._block = bytes(self._block), None
                yield message


def _segments(message: bytes) -> list[list[str]]:
    # latin-1 keeps every byte; separators are ASCII in all charsets of table 0211
    text = message.lstrip(AROUND).decode("latin-1")
    if not text.startswith("MSH") or len(text) < 4:
        raise NotUnderstood(f"the message does not start with an MSH segment ({_shape(text)})")
    return [line.split(text[3]) for line in re.split(r"[\r\n]+", text) if line]


def _shape(text: str) -> str:
    """Tell a message's length and segments, and nothing that a patient could be known by."""
    names = [
        line[:3] for line in re.split(r"[\r\n]+", text) if re.match(r"[A-Z][A-Z0-9]{2}\W", line)
    ]
    return f"{len(text)} bytes, segments: {' '.join(names[:8]) or 'none'}"


def _field(segment: list[str], position: int) -> str:
    return segment[position].strip() if position < len(segment) else ""


def control_id(message: bytes) -> str:
    """Read MSH-10 of our own message; raises GiveUp when there is none."""
    try:
        # MSH-1 is the separator itself, so the fields of MSH count from one more
        found = _field(_segments(message)[0], 9)
    except TryAgain as error:
        raise GiveUp(str(error)) from error
    if not found:
        raise GiveUp("the HL7 message has no control id (MSH-10)")
    return found


def parse_acknowledgement(message: bytes) -> Answer:
    """Read the MSA segment, and what ERR-8 or ERR-3 add (HL7 v2.5.1, 2.15).

    Raises NotUnderstood for anything that is not an acknowledgement.
    """
    segments = _segments(message)
    found = [segment for segment in segments if segment[0] == "MSA"]
    if not found:
        shape = _shape(message.decode("latin-1"))
        raise NotUnderstood(f"the answer has no MSA segment ({shape})")
    errors = [
        _field(segment, 8) or _field(segment, 3) for segment in segments if segment[0] == "ERR"
    ]
    said = [_field(found[0], 3), *errors]
    text = " | ".join(part for part in said if part)[:LONGEST_NOTE]
    readable = text.encode("latin-1").decode("utf-8", errors="replace")
    return Answer(_field(found[0], 1), _field(found[0], 2), readable)


def judge_acknowledgement(answer: Answer) -> str:
    """Say in words that a message was taken, or raise what follows (table 0008).

    The receiver's own text, which may name a patient, becomes a note of the error.
    """
    error: NodeError
    if answer.code in ("AA", "CA"):
        return f"{answer.code} for message {answer.control_id}"
    if answer.code in ("AE", "CE"):
        error = GiveUp(f"{answer.code}: the receiver found an error in the message")
    elif answer.code in ("AR", "CR"):
        error = TryAgain(f"{answer.code}: the receiver rejected the message for now")
    else:
        error = NotUnderstood("the answer has an unknown acknowledgement code (MSA-1)")
    if answer.text:
        error.add_note(answer.text)
    raise error


def deliver(
    message: bytes,
    host: str,
    port: int,
    timeouts: Timeouts,
    tls: Callable[[], Context] | None = None,
    *,
    any_control_id: bool = False,
) -> str:
    """Send one message, wait for its acknowledgement, and say what it was.

    The connection carries this message alone, so an answer with an empty MSA-2 is
    ours. One to another message is none, unless `any_control_id`: the wait goes on.
    Raises GiveUp for AE and CE; NotUnderstood for what is no acknowledgement;
    TryAgain for AR and CR, silence or a closed connection. Repeats use the same
    bytes, so the same MSH-10.
    """
    ours = control_id(message)
    block = frame(message)
    try:
        with connect(host, port, timeouts.connect_s, tls) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            until = time.monotonic() + timeouts.answer_s
            connection.settimeout(timeouts.answer_s)  # for sendall: of all its parts together
            connection.sendall(block)
            return judge_acknowledgement(_await_answer(connection, ours, until, any_control_id))
    except OSError as error:
        raise TryAgain(f"HL7 connection to {host}:{port}: {in_words(error)}") from error


def _await_answer(
    connection: socket.socket, ours: str, until: float, any_control_id: bool
) -> Answer:
    unframer = Unframer()
    others = 0
    while (left_s := until - time.monotonic()) > 0:
        connection.settimeout(left_s)
        try:
            received = connection.recv(65536)
        except TimeoutError:
            break
        if not received:
            raise _unanswered("the receiver closed the connection", others)
        for message in unframer.feed(received):
            answer = parse_acknowledgement(message)
            if any_control_id or answer.control_id in (ours, ""):
                return answer
            others += 1
    raise _unanswered("no acknowledgement in time", others)


def _unanswered(words: str, others: int) -> TryAgain:
    if others:
        return NotUnderstood(f"{words} after {others} answer(s) to other messages (MSA-2)")
    return TryAgain(words)


def send(
    batch: DeliveryBatch,
    archive: Archive,
    receiver: HL7Destination,
    timeouts: Timeouts = Timeouts(),
    tls: Callable[[], Context] | None = None,
) -> tuple[Acknowledgement | Undelivered, ...]:
    """Deliver each message of a batch: the sender for one HL7 destination."""
    outcomes: list[Acknowledgement | Undelivered] = []
    for delivery in batch.deliveries:
        try:
            message = archive.read(delivery.file.key)
            words = deliver(
                message,
                receiver.host,
                receiver.port,
                timeouts,
                tls,
                any_control_id=receiver.any_control_id,
            )
        except (NodeError, OSError) as error:
            outcomes.append(Undelivered(delivery.id, error))
        else:
            outcomes.append(Acknowledgement(delivery.id, words))
    return tuple(outcomes)


def probe(receiver: HL7Destination, tls: Callable[[], Context] | None = None) -> Check:
    """Connect and hang up; nothing is sent."""
    where = f"{receiver.host}:{receiver.port}"
    over = "" if tls is None else " over TLS"
    try:
        with connect(receiver.host, receiver.port, Timeouts().connect_s, tls):
            return Check(receiver.name, True, f"HL7 receiver at {where} takes connections{over}")
    except (OSError, NodeError) as error:
        return Check(receiver.name, False, f"no HL7 receiver at {where}{over}: {in_words(error)}")
