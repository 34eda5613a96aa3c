"""Asking and fetching from peers that do it wrong."""

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.events import Event

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, Refused, TryAgain
from dicom_node.domain.exchange.retrieval import FoundSeries
from dicom_node.domain.reception import StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.network.dimse import query
from dicom_node.network.dimse.answers import judge_absence
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.query import uid_of
from dicom_node.network.dimse.retrieve import GetOrigin, MoveOrigin
from tests.support.dimse_peers import accept_all, raw_peer
from tests.support.query_peers import (
    CR,
    IMAGE,
    QUESTION,
    Answers,
    asking,
    find_of,
    match,
    pacs,
    study,
)


@pytest.fixture(autouse=True, scope="module")
def _prepared() -> None:
    prepare()


def test_takes_what_fits_the_question_and_can_be_asked_for_again() -> None:
    find = find_of(
        study("1.1"),
        study("1.1"),
        study("1.2", ModalitiesInStudy=["CT", "CR"], StudyDate="20261101"),
        study("1.3", ModalitiesInStudy="CT"),
        study("1.4", StudyDate="20261102"),
        study("1.5", AccessionNumber="OTHER"),
        study("1.*"),
        study("1.7\\1.8"),
        study("9" * 65),
        study(""),
        (0xFF00, match(PatientID="no study at all")),
    )
    with pacs(find) as target, asking(target) as origin:
        assert origin.studies(QUESTION) == ("1.1", "1.2", "1.5")
        assert origin.studies(replace(QUESTION, accession_number="A1")) == ("1.1", "1.2")


def test_series_and_images_of_others_are_left_out() -> None:
    def find(event: Event) -> Answers:
        asked = event.identifier
        if asked.QueryRetrieveLevel == "SERIES":
            yield 0xFF00, match(SeriesInstanceUID="1.2.1", Modality="CR", BodyPartExamined="CHEST")
            yield 0xFF00, match(SeriesInstanceUID="1.2.2", StudyInstanceUID="9")
        else:
            yield 0xFF00, match(SOPInstanceUID="1.2.3", SOPClassUID=CR)
            yield 0xFF00, match(SOPInstanceUID="1.2.4", SeriesInstanceUID="9")

    with pacs(find) as target, asking(target) as origin:
        series = FoundSeries("1.2", "1.2.1", "CR", "CHEST")
        assert origin.series("1.2") == (series,)
        assert origin.images(series) == (IMAGE,)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA700, TryAgain, "0xA700 refused: out of resources"),
        (0xA900, GiveUp, "0xA900 identifier does not match"),
        (0xC123, TryAgain, "0xC123 unable to process"),
        (0xFE00, TryAgain, "0xFE00 cancelled"),
    ],
)
def test_a_failed_question_is_explained(status: int, kind: type[NodeError], words: str) -> None:
    find = find_of(study("1.1"), (status, None))
    with pacs(find) as target, asking(target) as origin, pytest.raises(kind, match=words):
        origin.studies(QUESTION)


def test_an_answer_that_cannot_be_read_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*args: object) -> Dataset:
        raise EOFError

    monkeypatch.setattr("pynetdicom.association.decode", decode)
    with (
        pacs(find_of(study("1.1"))) as target,
        asking(target) as origin,
        pytest.raises(TryAgain, match="an answer that cannot be read"),
    ):
        origin.studies(QUESTION)


def test_answers_without_end_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MOST_MATCHES", 50)

    def find(event: Event) -> Answers:
        for n in range(1000):
            yield study(f"1.{n}")

    with (
        pacs(find) as target,
        asking(target) as origin,
        pytest.raises(GiveUp, match="more than 50 matches"),
    ):
        origin.studies(QUESTION)


def test_after_a_lost_association_the_next_question_opens_another() -> None:
    asked: list[str] = []

    def find(event: Event) -> Answers:
        asked.append("")
        if len(asked) == 1:
            event.assoc.abort()
        yield study("1.1")

    with pacs(find) as target, asking(target) as origin:
        with pytest.raises(TryAgain, match="C-FIND"):
            origin.studies(QUESTION)
        assert origin.studies(QUESTION) == ("1.1",)


def test_a_silent_peer_costs_the_time_out() -> None:
    def behave(connection: socket.socket) -> None:
        accept_all(connection)
        while connection.recv(4096):
            pass

    started = time.monotonic()
    with (
        raw_peer(behave, Timeouts(1, 1, 0.5, 1)) as target,
        asking(target) as origin,
        pytest.raises(TryAgain, match="no answer"),
    ):
        origin.studies(QUESTION)
    assert time.monotonic() - started < 20


def test_a_peer_without_the_service_is_named() -> None:
    with (
        pacs(move=find_of()) as target,
        asking(target) as origin,
        pytest.raises(NodeError, match=r"accepts none|does not offer C-FIND"),
    ):
        origin.studies(QUESTION)
    with pacs(find_of()) as target:
        get = GetOrigin(target, stored)
        with pytest.raises(BadSettings, match=r"does not offer C-GET .* --move"):
            get.studies(QUESTION)
        get.close()


def stored(request: StoreRequest) -> Recorded:
    return Recorded.NEW


def full(request: StoreRequest) -> Recorded:
    raise Refused(0xA700, "disk space is below the reserve")


def unfit(request: StoreRequest) -> Recorded:
    raise Refused(0xC000, "data set cannot be decoded")


def image(uid: str = IMAGE.sop_instance_uid) -> Dataset:
    ds = match(
        SOPClassUID=CR, SOPInstanceUID=uid, StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1"
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = UID(CR)
    ds.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    return ds


def get_of(*answers: object) -> Callable[[Event], Answers]:
    def get(event: Event) -> Answers:
        yield len(answers)
        yield from answers

    return get


@pytest.mark.parametrize(
    ("answers", "store", "expected"),
    [
        (((0xFF00, image()),), stored, "C-GET: new"),
        (((0xFF00, image()),), full, TryAgain("refused here: disk space")),
        (((0xFF00, image()),), unfit, GiveUp("refused here: data set cannot")),
        (((0xFF00, image("9.9")),), stored, GiveUp("reports success and sent nothing")),
        ((), stored, GiveUp("reports success and sent nothing")),
        (((0xA702, None),), stored, TryAgain("0xA702 out of resources")),
        (((0xC001, None),), stored, TryAgain("0xC001 unable to process")),
        (((0xA900, None),), stored, GiveUp("0xA900")),
    ],
)
def test_fetching_by_c_get(
    answers: tuple[object, ...],
    store: Callable[[StoreRequest], Recorded],
    expected: str | NodeError,
) -> None:
    with pacs(find_of(), get_of(*answers)) as target:
        origin = GetOrigin(target, store)
        try:
            if isinstance(expected, str):
                assert origin.fetch(IMAGE) == expected
            else:
                with pytest.raises(type(expected), match=str(expected)):
                    origin.fetch(IMAGE)
        finally:
            origin.close()


def test_a_peer_that_will_not_send_on_our_association_is_named() -> None:
    with pacs(find_of(), get_of(), roles=False) as target:
        origin = GetOrigin(target, stored)
        with pytest.raises(BadSettings, match="no SCP role"):
            origin.studies(QUESTION)
        origin.close()


@pytest.mark.parametrize("arrived", [True, False])
def test_after_a_c_move_it_counts_whether_the_image_is_here(arrived: bool) -> None:
    def move(event: Event) -> Answers:
        yield "127.0.0.1", 11112
        yield 0

    with pacs(find_of(), move=move) as target:
        origin = MoveOrigin(target, lambda uid: arrived)
        if arrived:
            assert origin.fetch(IMAGE) == "C-MOVE: received"
        else:
            with pytest.raises(GiveUp, match="reports success and sent nothing"):
                origin.fetch(IMAGE)
        origin.close()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (None, TryAgain, "no answer"),
        (0x0000, GiveUp, "sent nothing"),
        (0xB000, GiveUp, "could not send"),
        (0x0124, TryAgain, "not authorized"),
        (0xA702, TryAgain, "sub-operations cannot be performed"),
        (0xA801, BadSettings, "our AE title, is not known there"),
        (0xC123, TryAgain, "0xC123 unable to process"),
        (0x0122, GiveUp, "SOP class not supported"),
    ],
)
def test_what_follows_when_the_image_is_not_here(
    status: int | None, kind: type[NodeError], words: str
) -> None:
    error = judge_absence("C-MOVE", status)
    assert type(error) is kind
    assert words in str(error)


def test_a_move_to_an_unknown_destination_is_a_matter_of_configuration() -> None:
    def move(event: Event) -> Answers:
        yield None, None

    with pacs(find_of(), move=move) as target:
        origin = MoveOrigin(target, lambda uid: False)
        with pytest.raises(BadSettings, match=r"0xA801 .* is not known there"):
            origin.fetch(IMAGE)
        origin.close()


@pytest.mark.parametrize(
    ("value", "uid"),
    [("1.2.3", "1.2.3"), ("1.2.3\0", "1.2.3"), ("1.2.*", ""), ("1.2\\1.3", ""), ("", "")],
)
def test_only_a_uid_is_sent_back(value: str, uid: str) -> None:
    assert uid_of(match(StudyInstanceUID=value), "StudyInstanceUID") == uid
