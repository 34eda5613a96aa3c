"""What the headers of a STOW-RS request ask for."""

import re
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

from dicom_node.network.http.multipart import media_type

DICOM = "application/dicom"
JSON = "application/dicom+json"
_PATH = re.compile(r"/studies(?:/([0-9.]{1,64}))?/?")
_JSON_TYPES = (JSON, "application/json", "application/*", "*/*")


class HeadRefused(Exception):
    """The request is answered with this status, its content unread."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request to store: for which study ("" for any), cut and framed how."""

    study_uid: str
    boundary: str
    length: int | None
    """Bytes of the content; None where it comes in chunks."""


def bearer(headers: Message) -> str:
    """Give the bearer token (RFC 6750 2.1), "" for none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def judge_head(path: str, headers: Message, largest: int) -> Head:
    """Read path and headers; raises HeadRefused.

    `largest` is the number of bytes that a request may have.
    """
    try:
        found = _PATH.fullmatch(urlsplit(path).path)
    except ValueError:  # brackets that are no IPv6 address
        raise HeadRefused(HTTPStatus.BAD_REQUEST) from None
    if found is None:
        raise HeadRefused(HTTPStatus.NOT_FOUND)
    kind, more = media_type(headers.get("Content-Type", ""))
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    # RFC 2387 wants the type; where a caller leaves it out, each part says its own
    inner = more.get("type", DICOM).lower()
    if (kind, inner, encoding) != ("multipart/related", DICOM, "identity"):
        raise HeadRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    accepted = [media_type(accept)[0] for accept in headers.get("Accept", "*/*").split(",")]
    if not any(kind in _JSON_TYPES for kind in accepted):
        raise HeadRefused(HTTPStatus.NOT_ACCEPTABLE)
    return Head(found[1] or "", more.get("boundary", ""), _length(headers, largest))


def _length(headers: Message, largest: int) -> int | None:
    """Find how the content is framed (RFC 9112 6.3); raises HeadRefused."""
    codings = headers.get_all("Transfer-Encoding", [])
    lengths = headers.get_all("Content-Length", [])
    if (codings and lengths) or len(codings) > 1 or len(set(lengths)) > 1:
        raise HeadRefused(HTTPStatus.BAD_REQUEST)  # who disagrees on the length smuggles
    if codings:
        if codings[0].strip().lower() != "chunked":
            raise HeadRefused(HTTPStatus.BAD_REQUEST)
        return None
    if not lengths:
        raise HeadRefused(HTTPStatus.LENGTH_REQUIRED)
    if not re.fullmatch(r"[0-9]{1,15}", lengths[0].strip()):
        raise HeadRefused(HTTPStatus.BAD_REQUEST)
    if int(lengths[0]) > largest:
        raise HeadRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return int(lengths[0])
