"""Sending by STOW-RS (PS3.18 10.5)."""

import logging
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import NoReturn

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import Dataset, dcmread

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.pipeline import Archive, Check
from dicom_node.domain.work import Acknowledgement, Delivery, DeliveryBatch, Undelivered
from dicom_node.network.dicomweb.answers import HttpAnswer, Result, judge
from dicom_node.network.http.session import SLOWEST_SERVER, content_of, in_words, open_session

LARGEST_REQUEST = 32 << 20
"""Bytes of the objects that share a request; a larger object goes alone."""
LARGEST_ANSWER = 4 << 20
ANSWERS = "application/dicom+json, application/json;q=0.9, application/dicom+xml;q=0.5"

# logs each fault with its trace, though the outbox tells of it
logging.getLogger("retrying").setLevel(logging.CRITICAL + 1)


class _Answered(Exception):
    """Carries an answer past the client, which would drop its status."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__()
        self.answer = answer


class NoAnswer(TryAgain):
    """The server did not answer: the next request would not fare better."""


def send(
    batch: DeliveryBatch, archive: Archive, to: StowDestination
) -> tuple[Acknowledgement | Undelivered, ...]:
    """Send a batch in as few requests as possible: the sender for one server.

    After a request without an answer the rest is left for the next attempt.
    """
    outcomes: list[Acknowledgement | Undelivered] = []
    lost: NoAnswer | None = None
    for group in _groups(batch.deliveries):
        for delivery_id, result in _store_group(group, archive, to, lost):
            if isinstance(result, NoAnswer):
                lost = result
            if isinstance(result, str):
                outcomes.append(Acknowledgement(delivery_id, result))
            else:
                outcomes.append(Undelivered(delivery_id, result))
    return tuple(outcomes)


def probe(to: StowDestination) -> Check:
    """Ask for nothing, to see whether the server answers and knows the node.

    What it stores can only be seen by storing.
    """
    try:
        with _session(to) as session:
            session.get(f"{to.url.rstrip('/')}/studies", params={"limit": 1}, timeout=to.timeout_s)
    except _Answered as answered:
        status = answered.answer.status
        known = status < 300 or status in (400, 404, 405, 406, 501)
        words = "" if status < 300 else "; it may still store" if known else "; compare token, url"
        return Check(to.name, known, f"{to.url} answers HTTP {status}{words}")
    except OSError as error:
        return Check(to.name, False, in_words(error))
    except NodeError as error:
        return Check(to.name, False, str(error))
    raise AssertionError("no answer and no error")


def _object(content: bytes) -> Dataset:
    try:
        return dcmread(BytesIO(content))
    except Exception as error:  # a damaged file fails in many ways
        raise GiveUp(f"no DICOM file ({type(error).__name__})") from error


def _groups(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    group: list[Delivery] = []
    for delivery in deliveries:
        if group and sum(sent.file.size for sent in (*group, delivery)) > LARGEST_REQUEST:
            yield group
            group = []
        group.append(delivery)
    if group:
        yield group


def _store_group(
    group: Sequence[Delivery], archive: Archive, to: StowDestination, lost: NoAnswer | None
) -> Iterator[tuple[int, Result]]:
    """Store a group; what its answer leaves open is sent again, each object alone."""
    objects: dict[str, tuple[Delivery, Dataset]] = {}
    for delivery in group:
        try:
            ds = _object(archive.read(delivery.file.key))
            objects[delivery.sop_instance_uid] = delivery, ds
        except NodeError as error:
            yield delivery.id, error
    results: dict[str, Result] = {}
    if lost is None and objects:
        results = _judge_group(list(objects.values()), to)
    for uid, (delivery, ds) in objects.items():
        result = lost or results.get(uid)
        if result is None and len(objects) > 1:
            result = _judge_group([(delivery, ds)], to).get(uid)
        result = result or TryAgain("the answer says nothing of the object")
        lost = result if isinstance(result, NoAnswer) else lost
        yield delivery.id, result


def _judge_group(
    group: Sequence[tuple[Delivery, Dataset]], to: StowDestination
) -> dict[str, Result]:
    uids = [delivery.sop_instance_uid for delivery, _ in group]
    try:
        size = sum(delivery.file.size for delivery, _ in group)
        answer = _post([ds for _, ds in group], size, to)
    except OSError as error:
        return dict.fromkeys(uids, NoAnswer(in_words(error)))
    except TryAgain as error:
        return dict.fromkeys(uids, NoAnswer(str(error)))
    except Exception as error:  # noqa: BLE001 - a damaged object fails in many ways, and alone
        spoilt = GiveUp(f"the object cannot be encoded ({type(error).__name__})")
        return {} if len(group) > 1 else {uids[0]: spoilt}
    return judge(answer, uids)


def _post(objects: Sequence[Dataset], size: int, to: StowDestination) -> HttpAnswer:
    """Store objects; raises TryAgain or OSError when no answer is had."""
    # sending counts as connecting here: the first limit is that of the whole content
    limit_s = to.timeout_s + size / SLOWEST_SERVER
    with _session(to) as session:
        client = DICOMwebClient(
            to.url.rstrip("/"),
            session,
            # one piece with its length: not every server takes chunks
            chunk_size=1 << 62,
            timeout=(limit_s, to.timeout_s),
        )
        client.set_http_retry_params(retry=False)  # the outbox repeats
        try:
            client.store_instances(objects)
        except _Answered as answered:
            return answered.answer
    raise AssertionError("no answer and no error")


def _session(to: StowDestination) -> requests.Session:
    session = open_session(to)
    session.headers["Accept"] = ANSWERS

    def note(response: requests.Response, *_: object, **__: object) -> NoReturn:
        with response:
            content = content_of(response, LARGEST_ANSWER, to.timeout_s)
            raise _Answered(HttpAnswer(response.status_code, content))

    session.hooks["response"] = [note]  # before redirects: the token goes nowhere else
    return session
