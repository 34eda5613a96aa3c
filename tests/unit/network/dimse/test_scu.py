"""Sending by C-STORE to peers of every temper."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts, build_context
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.study import Peer
from dicom_node.domain.work import (
    Acknowledgement,
    Delivery,
    DeliveryBatch,
    StoredFile,
    Undelivered,
)
from dicom_node.network.dimse.association import Target, open_association
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.scu import accepted, echo, send, store
from tests.support.archives import NamedFiles
from tests.support.dimse_peers import (
    SC,
    SEG,
    SR,
    accept_all,
    make_object,
    raw_peer,
    running_scp,
    uid_of,
    wrap,
)
from tests.support.listeners import free_port, until

ARRIVED = (0x0000, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007, 0xB123)
PASSING = (0x0110, 0x0124, 0xA700, 0xA701, 0xA7FF)
PERMANENT = (0x0117, 0x0118, 0x0122, 0x0210, 0x0211, 0x0212, 0xA801, 0xA900, 0xA9FF, 0xC000, 0xCFFF)


@pytest.fixture(autouse=True, scope="module")
def _prepared() -> None:
    prepare()


def last_number(event: Event) -> Dataset:
    answer = Dataset()
    answer.Status = int(uid_of(event).rpartition(".")[2])
    answer.ErrorComment = "Anna is unknown"
    return answer


def test_every_status_says_what_follows(tmp_path: Path) -> None:
    statuses = (*ARRIVED, *PASSING, *PERMANENT)
    files = [make_object(tmp_path / f"{one}", uid=f"1.2.3.{one}") for one in statuses]
    with running_scp(last_number) as scp:
        results = dict(zip(statuses, store(files, scp.target), strict=True))
    assert scp.associations == 1
    assert {s for s, one in results.items() if isinstance(one, str)} == set(ARRIVED)
    assert {s for s, one in results.items() if isinstance(one, TryAgain)} == set(PASSING)
    assert {s for s, one in results.items() if isinstance(one, GiveUp)} == set(PERMANENT)
    for status, result in results.items():
        assert str(result).startswith(f"0x{status:04X} ")
        assert "Anna" not in str(result)
        if not isinstance(result, str):
            assert result.__notes__ == ["Anna is unknown"]


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
    ],
)
def test_bytes_go_out_as_they_lie_in_the_file(tmp_path: Path, syntax: str) -> None:
    content = bytes(range(256)) * 1000  # no data set at all: nothing may look into it
    with running_scp(syntaxes=[syntax]) as scp:
        assert list(store([wrap(tmp_path / "a", content, syntax)], scp.target)) == ["0x0000 stored"]
    assert scp.raw == [content]
    assert scp.syntaxes == [syntax]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian),
    ],
)
def test_native_object_is_converted_only_when_the_peer_wants_it(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    file = make_object(tmp_path / "a", syntax=ours)
    with running_scp(syntaxes=[theirs]) as scp:
        assert list(store([file], scp.target)) == ["0x0000 stored"]
    assert scp.syntaxes == [theirs]
    assert scp.decoded() == [dcmread(file.path)]


def test_own_syntax_wins_where_the_peer_takes_several(tmp_path: Path) -> None:
    files = [
        make_object(tmp_path / "a", syntax=ImplicitVRLittleEndian),
        make_object(tmp_path / "b", syntax=ExplicitVRLittleEndian),
    ]
    with running_scp() as scp:
        assert list(store(files, scp.target)) == ["0x0000 stored"] * 2
    assert scp.syntaxes == [ImplicitVRLittleEndian, ExplicitVRLittleEndian]


def test_context_that_is_not_accepted_fails_alone_and_in_words(tmp_path: Path) -> None:
    files = [
        make_object(tmp_path / "a", SEG),
        wrap(tmp_path / "b", b"", JPEGBaseline8Bit),
        make_object(tmp_path / "c", SC),
        make_object(tmp_path / "d", SEG, "1.2.3.4"),
    ]
    with running_scp(classes=[SEG]) as scp:
        first, jpeg, capture, last = store(files, scp.target)
        assert (first, last) == ("0x0000 stored", "0x0000 stored")
        assert isinstance(jpeg, GiveUp)
        assert "Segmentation Storage as JPEG Baseline (Process 1)" in str(jpeg)
        assert isinstance(capture, GiveUp)
        assert "Secondary Capture Image Storage as Explicit VR Little Endian" in str(capture)
        (alone,) = store([files[2]], scp.target)
        assert isinstance(alone, GiveUp)
        assert str(alone) == str(capture)


def test_more_kinds_than_an_association_has_contexts(tmp_path: Path) -> None:
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    classes = [one for one in known if uid_to_service_class(one) is StorageServiceClass][:70]
    files = [make_object(tmp_path / f"{n}", one, f"1.2.3.{n}") for n, one in enumerate(classes)]
    with running_scp(classes=classes) as scp:
        patient = replace(scp.target, timeouts=Timeouts())
        assert list(store(files, patient)) == ["0x0000 stored"] * 70
    assert scp.associations == 2


def test_object_that_breaks_the_association_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    def abort_at_poison(event: Event) -> int:
        if uid_of(event) == "1.2.3.1":
            event.assoc.abort(block=False)
        return 0x0000

    files = [make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}") for n in range(4)]
    with running_scp(abort_at_poison) as scp:
        first, poison, *rest = store(files, scp.target)
    assert [first, *rest] == ["0x0000 stored"] * 3
    assert isinstance(poison, TryAgain)
    assert "ended the association" in str(poison)
    assert scp.associations == 2


def test_file_that_cannot_be_read_now_waits_and_the_others_arrive(tmp_path: Path) -> None:
    files = [make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}") for n in range(3)]
    files[1].path.unlink()
    with running_scp() as scp:
        first, gone, last = store(files, scp.target)
    assert (first, last) == ("0x0000 stored", "0x0000 stored")
    assert isinstance(gone, TryAgain)
    assert str(gone) == "cannot read the file: No such file or directory"


def test_answer_to_another_message_is_no_answer(tmp_path: Path) -> None:
    def misnumber(event: Event) -> None:
        event.message.command_set.MessageIDBeingRespondedTo = 7

    file = make_object(tmp_path / "a")
    with running_scp(extra=[(evt.EVT_DIMSE_SENT, misnumber)]) as scp:
        (result,) = store([file], scp.target)
    assert isinstance(result, TryAgain)
    assert "another message" in str(result)


@pytest.mark.parametrize(
    ("option", "titles", "words"),
    [
        ("require_called_aet", True, "1/1/7): called AE title not recognized"),
        ("require_calling_aet", ["SOMEBODY"], "1/1/3): calling AE title not recognized"),
    ],
)
def test_rejection_is_repeated_and_says_what_to_correct(
    tmp_path: Path, option: str, titles: object, words: str
) -> None:
    def reject(ae: AE) -> None:
        setattr(ae, option, titles)

    file = make_object(tmp_path / "a")
    with running_scp(prepare_ae=reject) as scp:
        target = Target(replace(scp.target.peer, ae_title="WRONG"), "NODE", scp.target.timeouts)
        results = list(store([file, file], target))
    assert all(isinstance(one, TryAgain) and words in str(one) for one in results)
    assert len(results) == 2


def test_full_peer_is_asked_again(tmp_path: Path) -> None:
    def allow_none(ae: AE) -> None:
        ae.maximum_associations = 1

    with (
        running_scp(prepare_ae=allow_none) as scp,
        open_association(scp.target, [build_context(SEG)]),
    ):
        (result,) = store([make_object(tmp_path / "a")], scp.target)
    assert isinstance(result, TryAgain)
    assert "for now (2/3/2)" in str(result)


def test_peer_that_is_away_is_a_passing_fault(tmp_path: Path) -> None:
    target = Target(Peer("pacs", "PEER", "127.0.0.1", free_port()), "NODE")
    (result,) = store([make_object(tmp_path / "a")], target)
    assert isinstance(result, TryAgain)
    assert "Connection refused" in str(result)


def test_peer_without_address_is_a_mistake(tmp_path: Path) -> None:
    (result,) = store([make_object(tmp_path / "a")], Target(Peer("pacs", "PEER"), "NODE"))
    assert isinstance(result, GiveUp)
    assert "'pacs' has no host" in str(result)


def test_association_ends_with_a_release(tmp_path: Path) -> None:
    ends: list[str] = []
    seen: list[tuple[evt.NotificationEvent, Callable[[Event], None]]] = [
        (evt.EVT_RELEASED, lambda event: ends.append("released")),
        (evt.EVT_ABORTED, lambda event: ends.append("aborted")),
    ]
    with running_scp(extra=seen) as scp:
        list(store([make_object(tmp_path / "a")], scp.target))
        until(lambda: bool(ends), "the end of the association", 5)
    assert ends == ["released"]


def test_no_delay_is_set(tmp_path: Path) -> None:
    with running_scp() as scp, open_association(scp.target, [build_context(SEG)]) as line:
        wrapped = line.assoc.dul.socket
        assert wrapped is not None
        assert wrapped.socket is not None
        assert wrapped.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_sender_settles_each_delivery_by_itself(tmp_path: Path) -> None:
    make_object(tmp_path / "good")
    (tmp_path / "bad").write_text("no DICOM")
    keys = ["bad", "good", "gone"]
    batch = DeliveryBatch(
        "pacs",
        "dicom",
        tuple(
            Delivery(n, "pacs", "dicom", 1, "seg", SEG, "1.2.3.1", "1.2.3", StoredFile(key, "", 0))
            for n, key in enumerate(keys)
        ),
        "w",
        0,
    )
    with running_scp() as scp:
        outcomes = {one.delivery_id: one for one in send(batch, NamedFiles(tmp_path), scp.target)}
    assert outcomes[1] == Acknowledgement(1, "0x0000 stored")
    bad, gone = outcomes[0], outcomes[2]
    assert isinstance(bad, Undelivered)
    assert isinstance(bad.error, GiveUp)
    assert isinstance(gone, Undelivered)
    assert isinstance(gone.error, GiveUp)


def test_echo_tells_how_the_peer_is() -> None:
    with running_scp() as scp:
        check = echo(scp.target)
        assert (check.name, check.ok) == ("pacs", True)
        assert "PEER at 127.0.0.1" in check.words
        target = scp.target
    check = echo(target)
    assert not check.ok
    assert "cannot connect" in check.words


def test_peer_that_aborts_at_once_is_told_however_soon_it_is_noticed() -> None:
    def behave(connection: socket.socket) -> None:
        accept_all(connection)
        connection.sendall(b"\x07\0\0\0\0\x04\0\0\2\0")  # A-ABORT (PS3.8 9.3.8)

    with raw_peer(behave, Timeouts(2, 2, 2, 2)) as target:
        checks = [echo(target) for _ in range(40)]
    assert not any(one.ok for one in checks)


def test_peer_is_asked_what_it_accepts() -> None:
    offers = [(SEG, ExplicitVRLittleEndian), (SEG, JPEGBaseline8Bit), (SR, ExplicitVRLittleEndian)]
    many = [(SEG, f"1.2.3.{n}") for n in range(200)]
    with running_scp(classes=[SEG]) as scp:
        assert accepted(scp.target, offers) == (True, False, False)
        assert accepted(scp.target, [*many, *offers]) == (*[False] * 200, True, False, False)
        target = scp.target
    with pytest.raises(TryAgain):
        accepted(target, offers)
