"""Asking a PACS by C-FIND, study root."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.domain.errors import BadSettings, GiveUp, TryAgain
from dicom_node.domain.exchange.retrieval import FoundImage, FoundSeries, Inquiry, fits, usable_uid
from dicom_node.formats.dicom.attributes import printable, texts
from dicom_node.network.dimse.answers import PENDING, SUCCESS, judge_query
from dicom_node.network.dimse.association import OutgoingAssociation, Target, open_association

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
QUERY_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
MOST_MATCHES = 20_000
"""Of one request; a PACS with more in one day ignores what it was asked."""
FIND_S = 300.0
"""For all answers to one request."""
RETRIEVE_S = 600.0
"""For one image; an archive may have to read a tape first."""
MOST_ANSWERS = 1000
"""To the request for one image."""

Answers = Iterator[tuple[Dataset, Dataset | None]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is negotiated for one association."""

    contexts: tuple[PresentationContext, ...]
    roles: tuple[SCP_SCU_RoleSelectionNegotiation, ...] = ()
    prepare: Callable[[OutgoingAssociation], None] = lambda line: None
    """Looks at a fresh association; raises BadSettings when it is useless."""


class QueryAssociation:
    """An association that is opened when it is needed, and again when it is lost."""

    def __init__(self, target: Target, terms: Terms) -> None:
        self.target = target
        self._terms = terms
        self._held = ExitStack()
        self._line: OutgoingAssociation | None = None

    def line(self) -> OutgoingAssociation:
        """Give the open association; raises as `open_association`, and BadSettings."""
        if self._line is None or not self._line.assoc.is_established:
            self.close()
            find = build_context(STUDY_ROOT_FIND, QUERY_SYNTAXES)
            contexts = [find, *self._terms.contexts]
            line = self._held.enter_context(
                open_association(self.target, contexts, self._terms.roles)
            )
            self._line = line
            require_context(line, STUDY_ROOT_FIND, "C-FIND (study root)")
            self._terms.prepare(line)
        return self._line

    def retrieve(self, ask: Callable[[Association], Answers]) -> int | None:
        """Send one C-GET or C-MOVE; gives its last status, None where none came."""
        line = self.line()
        line.assoc.dimse_timeout = RETRIEVE_S
        line.watchdog.allow(RETRIEVE_S)
        status: int | None = None
        try:
            for count, (answer, _) in enumerate(ask(line.assoc)):
                status = answer.get("Status")
                if count > MOST_ANSWERS:
                    status = None
                    break
        except (RuntimeError, ValueError):  # the association is gone
            status = None
        if status is None:
            self.close(abort=True)
        else:
            line.watchdog.rest()
        return status

    def close(self, *, abort: bool = False) -> None:
        """Release the association, or abort it; the next request opens another."""
        if abort and self._line is not None:
            self._line.watchdog.allow(0)
            self._line.assoc.abort()
        self._line = None
        self._held.close()


class QueryOrigin:
    """What both ways of retrieving from a DICOM peer share: asking by C-FIND."""

    def __init__(self, target: Target, terms: Terms) -> None:
        self.ae_title = target.peer.ae_title
        self.query = QueryAssociation(target, terms)

    def studies(self, inquiry: Inquiry) -> tuple[str, ...]:
        """Give the UIDs of the studies that match; what was not asked for is left out."""
        fitting = (
            match for match in _matches(self.query, _request(inquiry)) if _fits(match, inquiry)
        )
        found = (uid_of(match, "StudyInstanceUID") for match in fitting)
        return tuple(dict.fromkeys(filter(None, found)))

    def series(self, study_uid: str) -> tuple[FoundSeries, ...]:
        """Give the study's series."""
        asked = dict.fromkeys(("SeriesInstanceUID", "Modality", "BodyPartExamined"), "")
        ask = _identifier("SERIES", StudyInstanceUID=study_uid, **asked)
        return tuple(
            FoundSeries(
                study_uid, uid, printable(match, "Modality"), printable(match, "BodyPartExamined")
            )
            for match in _matches(self.query, ask)
            if (uid := uid_of(match, "SeriesInstanceUID"))
            and printable(match, "StudyInstanceUID") in ("", study_uid)
        )

    def images(self, series: FoundSeries) -> tuple[FoundImage, ...]:
        """Give the series' instances."""
        ask = _identifier(
            "IMAGE",
            StudyInstanceUID=series.study_uid,
            SeriesInstanceUID=series.series_uid,
            SOPInstanceUID="",
            SOPClassUID="",
        )
        return tuple(
            FoundImage(series.study_uid, series.series_uid, uid, printable(match, "SOPClassUID"))
            for match in _matches(self.query, ask)
            if (uid := uid_of(match, "SOPInstanceUID"))
            and printable(match, "SeriesInstanceUID") in ("", series.series_uid)
        )

    def close(self) -> None:
        """Release the association."""
        self.query.close()


def require_context(line: OutgoingAssociation, sop_class_uid: str, words: str) -> None:
    """Refuse to go on with a peer that lacks a service."""
    if all(
        str(context.abstract_syntax) != sop_class_uid for context in line.assoc.accepted_contexts
    ):
        raise BadSettings(
            f"{line.assoc.acceptor.ae_title} does not offer {words} to us; allow it there"
        )


def encoded(inquiry: Inquiry) -> bytes:
    """Encode a request for studies as it is sent, in implicit little endian."""
    return encode(_request(inquiry), True, True) or b""


def _request(inquiry: Inquiry) -> Dataset:
    return _identifier(
        "STUDY",
        StudyInstanceUID="",
        StudyDate="" if inquiry.day is None else f"{inquiry.day:%Y%m%d}",
        ModalitiesInStudy=inquiry.modality,
        AccessionNumber=inquiry.accession_number,
    )


def _fits(match: Dataset, inquiry: Inquiry) -> bool:
    number = printable(match, "AccessionNumber")
    return fits(inquiry, texts(match, "ModalitiesInStudy"), printable(match, "StudyDate"), number)


def identify(image: FoundImage) -> Dataset:
    """Make the identifier that retrieves one image (PS3.4 C.4.2.1.4.1)."""
    return _identifier(
        "IMAGE",
        StudyInstanceUID=image.study_uid,
        SeriesInstanceUID=image.series_uid,
        SOPInstanceUID=image.sop_instance_uid,
    )


def _identifier(level: str, **keys: str) -> Dataset:
    ask = Dataset()
    for keyword, value in {"QueryRetrieveLevel": level, **keys}.items():
        # a malformed UID of the peer's goes back to it as it came
        ask.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE))
    return ask


def uid_of(match: Dataset, keyword: str) -> str:
    """Give a UID that may be sent back; "" for one that is missing or unusable."""
    return usable_uid(printable(match, keyword))


def _matches(query: QueryAssociation, ask: Dataset) -> list[Dataset]:
    """Ask one request and read to the end of what the peer has.

    Raises TryAgain or GiveUp where the peer ends with anything but success.
    """
    line = query.line()
    line.assoc.dimse_timeout = query.target.timeouts.dimse_s
    line.watchdog.allow(FIND_S)
    found: list[Dataset] = []
    status: int | None = None
    unreadable = False
    try:
        for answer, match in line.assoc.send_c_find(ask, STUDY_ROOT_FIND):
            status = answer.get("Status")
            if status in PENDING and match is not None:
                found.append(match)
            unreadable |= status in PENDING and match is None
            if len(found) > MOST_MATCHES:
                query.close(abort=True)
                raise GiveUp(f"C-FIND: more than {MOST_MATCHES} matches for one question")
    except (RuntimeError, ValueError) as error:
        query.close(abort=True)
        raise TryAgain("C-FIND: the peer ended the association") from error
    if status is None:
        query.close(abort=True)
        raise TryAgain("C-FIND: no answer, or none that can be read")
    line.watchdog.rest()
    if status != SUCCESS:
        raise judge_query("C-FIND", status)
    if unreadable:
        raise TryAgain("C-FIND: an answer that cannot be read")
    return found
