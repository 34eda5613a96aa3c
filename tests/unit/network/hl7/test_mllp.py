"""HL7 over MLLP: framing, acknowledgements, and a receiver of every temper."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.domain.errors import GiveUp, NotUnderstood, TryAgain
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import (
    Acknowledgement,
    Delivery,
    DeliveryBatch,
    StoredFile,
    Undelivered,
)
from dicom_node.network.hl7.mllp import (
    Answer,
    Timeouts,
    Unframer,
    control_id,
    deliver,
    frame,
    judge_acknowledgement,
    parse_acknowledgement,
    probe,
    send,
)
from tests.support.archives import NamedFiles
from tests.support.listeners import HL7Listener, free_port

ORU = (
    b"MSH|^~\\&|CXRAI|HOSP|RIS|HOSP|20261121||ORU^R01^ORU_R01|MSG-1|P|2.5.1|||||USA|UNICODE UTF-8\r"
    b"PID|1||4711^^^HOSP^MR||M\xc3\xbcller^Anna\r"
)
QUICK = Timeouts(connect_s=2, answer_s=0.4)
CONTENT = st.binary(min_size=1, max_size=60).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b)


def ask(listener: HL7Listener, timeouts: Timeouts = QUICK) -> str:
    return deliver(ORU, listener.host, listener.port, timeouts)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(CONTENT, max_size=5), st.data())
def test_any_chunking_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(b"\x0b" + message + b"\x1c\x0d" for message in messages)
    unframer = Unframer()
    found: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += unframer.feed(stream[:cut])
        stream = stream[cut:]
    assert found == messages


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_garbage_raises_only_the_protocols_own_error(garbage: bytes) -> None:
    try:
        for message in Unframer(largest=100).feed(garbage):
            parse_acknowledgement(message)
    except TryAgain:
        return


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=80))
def test_garbage_after_a_header_raises_only_the_protocols_own_error(garbage: bytes) -> None:
    try:
        answer = parse_acknowledgement(b"MSH|^~\\&|A\rMSA" + garbage)
    except TryAgain:
        return
    assert isinstance(answer.code, str)


def test_frame_is_the_standards_block() -> None:
    assert frame(b"MSH|x\r") == b"\x0bMSH|x\r\x1c\x0d"


@pytest.mark.parametrize("message", [b"", b"MSH\x0b", b"MSH|\x1c"])
def test_frame_refuses_what_would_break_the_block(message: bytes) -> None:
    with pytest.raises(GiveUp):
        frame(message)


def test_block_is_bounded_whether_it_ends_or_not() -> None:
    with pytest.raises(TryAgain, match="longer than 10 bytes"):
        list(Unframer(largest=10).feed(b"\x0b" + b"x" * 11))
    unframer = Unframer(largest=10)
    assert list(unframer.feed(b"\x0b" + b"x" * 6)) == []
    with pytest.raises(TryAgain, match="longer"):
        list(unframer.feed(b"x" * 6 + b"\x1c\r"))


def test_text_outside_a_block_is_named_at_once() -> None:
    with pytest.raises(TryAgain, match="not MLLP: it starts with 0x48"):
        list(Unframer().feed(b"HTTP/1.1 400 Bad Request"))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"MSH|^~\\&|A|B\rMSA|AA|7\r", Answer("AA", "7")),
        (b"MSH|^~\\&|A|B\nMSA|AE|7|broken\n", Answer("AE", "7", "broken")),
        (
            b"MSH|^~\\&|A|B\r\nMSA|AR|7\r\nERR|||207^Internal||||x|busy\r\n",
            Answer("AR", "7", "busy"),
        ),
        (b"MSH#^~\\&#A#B\rMSA#CE#7#no\rERR###204", Answer("CE", "7", "no | 204")),
        ("MSH|^~\\&\rMSA|AE|7|Müller".encode(), Answer("AE", "7", "Müller")),
        ("MSH|^~\\&\rMSA|AE|7|Müller".encode("latin-1"), Answer("AE", "7", "M\ufffdller")),
        (b"MSH|^~\\&\rMSA", Answer("", "")),
    ],
)
def test_acknowledgement_is_read(message: bytes, expected: Answer) -> None:
    assert parse_acknowledgement(message) == expected


@pytest.mark.parametrize("message", [b"", b"MSH", b"MSA|AA|7", b"MSH|^~\\&|A\rPID|1\r"])
def test_what_is_no_acknowledgement_is_no_answer(message: bytes) -> None:
    with pytest.raises(TryAgain):
        parse_acknowledgement(message)


@pytest.mark.parametrize(
    "message", [b"", b"PID|1", b"MSH|^~\\&|A|B|C", b"MSH|^~\\&|A|B|C|D|E|F|G||P"]
)
def test_message_without_control_id_is_not_sent(message: bytes) -> None:
    with pytest.raises(GiveUp):
        control_id(message)


@pytest.mark.parametrize(
    ("code", "follows"),
    [("AE", GiveUp), ("CE", GiveUp), ("AR", TryAgain), ("CR", TryAgain), ("ZZ", TryAgain)],
)
def test_code_says_what_follows_and_the_text_stays_a_note(
    code: str, follows: type[Exception]
) -> None:
    with pytest.raises(follows) as caught:
        judge_acknowledgement(Answer(code, "7", "unknown patient Anna"))
    assert "Anna" not in str(caught.value)
    assert caught.value.__notes__ == ["unknown patient Anna"]


@pytest.mark.parametrize("answer", ["AA", "CA", "late", "slow", "split", "no cr"])
def test_acknowledged_message_is_delivered_unchanged(answer: str) -> None:
    with HL7Listener(answer) as listener:
        words = ask(listener, Timeouts(answer_s=5))
    assert words == f"{answer if answer == 'CA' else 'AA'} for message MSG-1"
    assert listener.messages == [ORU]


@pytest.mark.parametrize(
    ("answer", "follows", "words"),
    [
        ("AE", GiveUp, "AE"),
        ("AR", TryAgain, "AR"),
        ("wrong id", NotUnderstood, "1 answer.s. to other messages"),
        ("silence", TryAgain, "no acknowledgement in time"),
        ("close", TryAgain, "closed the connection"),
        (b"no HL7 here\r\n", NotUnderstood, "not MLLP"),
        (b"\x0bPID|1\r\x1c\r", NotUnderstood, "MSH"),
        (b"\x0b" + b"x" * 2_000_000, NotUnderstood, "longer than"),
    ],
)
def test_other_answers_say_what_to_do(
    answer: str | bytes, follows: type[Exception], words: str
) -> None:
    with HL7Listener(answer) as listener, pytest.raises(follows, match=words):
        ask(listener, Timeouts(answer_s=5) if isinstance(answer, bytes) else QUICK)


@pytest.mark.parametrize("rest", [b"\x1c\r", b"\x06", b"goodbye\r\n"])
def test_what_follows_an_acknowledgement_does_not_undo_it(rest: bytes) -> None:
    said = frame(b"MSH|^~\\&|RIS|HOSP\rMSA|AA|MSG-1\r") + rest
    with HL7Listener(said) as listener:
        assert ask(listener, Timeouts(answer_s=5)) == "AA for message MSG-1"


@pytest.mark.parametrize(
    "said",
    [
        b"\xef\xbb\xbf" + frame(b"MSH|^~\\&|RIS|HOSP\rMSA|AA|MSG-1\r"),
        frame(b"\xef\xbb\xbfMSH|^~\\&|RIS|HOSP\rMSA|AA|MSG-1\r"),
        frame(b"\r\nMSH|^~\\&|RIS|HOSP\rMSA|AA|MSG-1\r"),
        b"\r\n" + frame(b" \r\n\xef\xbb\xbfMSH|^~\\&|RIS|HOSP\r\nMSA|AA|MSG-1\r\n"),
        frame(b"MSH|^~\\&|RIS|HOSP\rMSA|AA|\r"),
        frame(b"MSH|^~\\&|RIS|HOSP\rMSA|AA\r"),
    ],
    ids=["mark before", "mark inside", "CR LF inside", "all of them", "empty id", "no id"],
)
def test_careless_acknowledgement_is_one(said: bytes) -> None:
    # dcm4che issues 465 and 779, NextGen Connect issues 1314 and 2113
    with HL7Listener(said) as listener:
        assert ask(listener, Timeouts(answer_s=5)).startswith("AA for message")


def test_receiver_that_names_another_message_may_be_believed() -> None:
    with HL7Listener("wrong id") as listener:
        words = deliver(ORU, listener.host, listener.port, QUICK, any_control_id=True)
    assert words.startswith("AA for message")


def test_shape_of_an_answer_names_no_patient() -> None:
    with pytest.raises(NotUnderstood) as caught:
        parse_acknowledgement(b"MSH|^~\\&|RIS|HOSP\rPID|1||4711||Curie^Marie\rCurie|x\r")
    assert str(caught.value) == "the answer has no MSA segment (51 bytes, segments: MSH PID)"


def test_dripping_receiver_cannot_stretch_the_deadline() -> None:
    with HL7Listener("slow") as listener:
        started = time.monotonic()
        with pytest.raises(TryAgain, match="in time"):
            ask(listener, Timeouts(answer_s=0.1))
        assert time.monotonic() - started < 2


def test_nobody_listening_is_a_passing_fault() -> None:
    with pytest.raises(TryAgain, match="refused"):
        deliver(ORU, "127.0.0.1", free_port(), QUICK)


def test_repeat_carries_the_same_bytes() -> None:
    with HL7Listener("AR", "close", "AA") as listener:
        for _ in range(2):
            with pytest.raises(TryAgain):
                ask(listener)
        assert ask(listener) == "AA for message MSG-1"
    assert listener.messages == [ORU] * 3


def test_sender_settles_each_message_by_itself(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(ORU)
    (tmp_path / "bad").write_bytes(b"PID|1\r")
    stored = [StoredFile("good", "", 0), StoredFile("bad", "", 0), StoredFile("gone", "", 0)]
    batch = DeliveryBatch(
        "ris",
        "mllp",
        tuple(
            Delivery(n, "ris", "mllp", 1, "oru", "", f"2.25.{n}", "1.2", file)
            for n, file in enumerate(stored)
        ),
        "w",
        0,
    )
    with HL7Listener() as listener:
        receiver = HL7Destination("ris", listener.host, listener.port)
        arrived, bad, gone = send(batch, NamedFiles(tmp_path), receiver, QUICK)
    assert arrived == Acknowledgement(0, "AA for message MSG-1")
    assert isinstance(bad, Undelivered)
    assert isinstance(bad.error, GiveUp)
    assert isinstance(gone, Undelivered)
    assert isinstance(gone.error, GiveUp)
    assert listener.messages == [ORU]


def test_probe_connects_and_sends_nothing() -> None:
    with HL7Listener() as listener:
        assert probe(HL7Destination("ris", listener.host, listener.port)).ok
    assert listener.messages == []
    check = probe(HL7Destination("ris", "127.0.0.1", free_port()))
    assert (check.ok, "refused" in check.words) == (False, True)
