"""Asking a DICOMweb server by QIDO-RS and fetching by WADO-RS."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar

import requests
from dicomweb_client.web import DICOMwebClient

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, Refused, TryAgain
from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.exchange.retrieval import (
    FoundImage,
    FoundSeries,
    Inquiry,
    fits,
    refused_here,
    usable_uid,
)
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.network.dicomweb.store import refuse_unsupported, store_request
from dicom_node.network.http.multipart import Malformed, TooLarge, media_type, parts
from dicom_node.network.http.session import content_of, in_words, open_session

PAGE = 200
MOST_MATCHES = 20_000
"""Of one question; a server with more in one day ignores what it was asked."""
LARGEST_LIST = 32 << 20
LARGEST_IMAGE = 512 << 20
"""Bytes of an answer."""
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""The image as it is stored there (PS3.18 8.7.3.5.2)."""

# attributes in the JSON model (PS3.18 annex F), by tag
STUDY_DATE, ACCESSION_NUMBER, MODALITIES = "00080020", "00080050", "00080061"
MODALITY, BODY_PART = "00080060", "00180015"
STUDY_UID, SERIES_UID = "0020000D", "0020000E"
CLASS_UID, INSTANCE_UID = "00080016", "00080018"

Answer = TypeVar("Answer")
Match = Any
Search = Callable[[int], Sequence[Match]]
"""Gives the matches from an offset on."""


class WebOrigin:
    """A DICOMweb server that is asked for studies and for images (PS3.18 10.4, 10.6)."""

    def __init__(
        self, to: StowDestination, caller: Caller, store: Callable[[StoreRequest], Recorded]
    ) -> None:
        self.ae_title = caller.calling_ae
        self._to, self._caller, self._store = to, caller, store
        self._session = _session(to)
        self._client = DICOMwebClient(
            to.url.rstrip("/"), self._session, timeout=to.timeout_s, permissive_uid=True
        )
        self._asked: Inquiry | None = None
        self._found: list[tuple[str, Match]] = []
        self._client.set_http_retry_params(retry=False)  # the flow repeats

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def studies(self, inquiry: Inquiry) -> tuple[str, ...]:
        """Give the UIDs of the studies that match.

        The modality is looked at here: Orthanc 1.10 loses the pages after the first
        where it is asked for.
        """
        question = replace(inquiry, modality="")
        if question != self._asked:
            self._found = self._search(question)
            self._asked = question
        return tuple(
            uid
            for uid, match in self._found
            if fits(
                inquiry,
                _texts(match, MODALITIES),
                _text(match, STUDY_DATE),
                _text(match, ACCESSION_NUMBER),
            )
        )

    def _search(self, question: Inquiry) -> list[tuple[str, Match]]:
        filters = {}
        if question.day is not None:
            filters["StudyDate"] = f"{question.day:%Y%m%d}"
        if question.accession_number:
            filters["AccessionNumber"] = question.accession_number
        return _all(
            lambda offset: self._client.search_for_studies(
                limit=PAGE, offset=offset, search_filters=filters, fields=["ModalitiesInStudy"]
            ),
            STUDY_UID,
        )

    def series(self, study_uid: str) -> tuple[FoundSeries, ...]:
        """Give the study's series."""
        found = _all(
            lambda offset: self._client.search_for_series(
                study_uid, limit=PAGE, offset=offset, fields=["BodyPartExamined"]
            ),
            SERIES_UID,
        )
        return tuple(
            FoundSeries(study_uid, uid, _text(match, MODALITY), _text(match, BODY_PART))
            for uid, match in found
        )

    def images(self, series: FoundSeries) -> tuple[FoundImage, ...]:
        """Give the series' instances."""
        found = _all(
            lambda offset: self._client.search_for_instances(
                series.study_uid, series.series_uid, limit=PAGE, offset=offset
            ),
            INSTANCE_UID,
        )
        return tuple(
            FoundImage(series.study_uid, series.series_uid, uid, _text(match, CLASS_UID))
            for uid, match in found
        )

    def fetch(self, image: FoundImage) -> str:
        """Have the image sent and stored; says how, in words."""
        url = (
            f"{self._to.url.rstrip('/')}/studies/{image.study_uid}"
            f"/series/{image.series_uid}/instances/{image.sop_instance_uid}"
        )
        answer = _ask(
            lambda: self._session.get(
                url, headers={"Accept": ANY_SYNTAX}, timeout=self._to.timeout_s
            )
        )
        if not answer.ok:
            raise _fault(answer.status_code)
        for content in _objects(answer):
            try:
                request = store_request(content, self._caller)
                refuse_unsupported(request)
                if request.sop_instance_uid == image.sop_instance_uid:
                    return f"WADO-RS: {self._store(request).value}"
            except Refused as refusal:
                raise refused_here("WADO-RS", refusal) from refusal
        raise GiveUp("WADO-RS: the server sent nothing, or another image")


def _objects(answer: requests.Response) -> Iterator[bytes]:
    kind, named = media_type(answer.headers.get("Content-Type", ""))
    if kind == "application/dicom":
        yield answer.content
        return
    try:
        for part in parts(BytesIO(answer.content).read, named.get("boundary", ""), LARGEST_IMAGE):
            yield part.content
    except (Malformed, TooLarge) as error:
        raise GiveUp("WADO-RS: the answer is no multipart message") from error


def _all(search: Search, tag: str) -> list[tuple[str, Match]]:
    """Turn the pages until one brings nothing new; gives matches by their UID, each once."""
    found: dict[str, Match] = {}
    seen = 0
    while True:
        offset = seen
        page = _ask(lambda: search(offset))  # noqa: B023 - called at once
        if not isinstance(page, list):
            raise GiveUp("QIDO-RS: the answer is no list of matches")
        before, seen = len(found), seen + len(page)
        for match in page:
            if uid := usable_uid(_text(match, tag)):
                found.setdefault(uid, match)
        if len(found) > MOST_MATCHES:
            raise GiveUp(f"QIDO-RS: more than {MOST_MATCHES} matches for one question")
        # a server that ignores the offset sends the same again
        if not page or len(found) == before:
            return list(found.items())


def _ask(request: Callable[[], Answer]) -> Answer:
    """Send a request; puts what goes wrong in our words."""
    try:
        return request()
    except requests.HTTPError as error:
        raise _fault(0 if error.response is None else error.response.status_code) from error
    except requests.TooManyRedirects as error:
        raise GiveUp("the server redirects; correct [[stow]] url") from error
    except (requests.JSONDecodeError, TypeError, ValueError, RecursionError) as error:
        raise GiveUp("QIDO-RS: the answer is no DICOM JSON") from error
    except requests.exceptions.SSLError as error:
        raise GiveUp(in_words(error)) from error
    except OSError as error:  # requests' own errors too
        raise TryAgain(in_words(error)) from error


def _fault(status: int) -> NodeError:
    words = f"HTTP {status}"
    if status in (401, 403):
        return BadSettings(f"{words}: the server does not let us; see [[stow]] token_file")
    passing = status in (408, 425, 429) or status >= 500
    return TryAgain(words) if passing else GiveUp(words)


def _session(to: StowDestination) -> requests.Session:
    session = open_session(to)
    session.max_redirects = 0  # the token goes nowhere else

    def read(response: requests.Response, *_: object, **__: object) -> None:
        """Read the content within limits, before the client does without."""
        kind = media_type(response.headers.get("Content-Type", ""))[0]
        largest = LARGEST_LIST if kind.endswith("json") else LARGEST_IMAGE
        with response:
            response._content = content_of(response, largest, to.timeout_s)

    session.hooks["response"] = [read]
    return session


def _texts(match: Match, tag: str) -> tuple[str, ...]:
    """Give the texts of an attribute, whatever the server sent."""
    element = match.get(tag) if isinstance(match, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return (
        tuple(value for value in values if isinstance(value, str))
        if isinstance(values, list)
        else ()
    )


def _text(match: Match, tag: str) -> str:
    return next(iter(_texts(match, tag)), "").strip(" \0")
