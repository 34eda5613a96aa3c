"""What the answer to a STOW-RS request means for us."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.network.dimse.answers import ARRIVED, judge_store

REFERENCED_SEQUENCE = "00081199"
FAILED_SEQUENCE = "00081198"
OTHER_FAILURES = "0008119A"
INSTANCE_UID = "00081155"
WARNING_REASON = "00081196"
FAILURE_REASON = "00081197"
DUPLICATE = 0x0111
LONGEST_NOTE = 300

SETTINGS = {
    301: "it redirects; set the final address in [[stow]]",
    302: "it redirects; set the final address in [[stow]]",
    307: "it redirects; set the final address in [[stow]]",
    308: "it redirects; set the final address in [[stow]]",
    401: "not authenticated; compare the token with the server's",
    403: "not authorized; the server must let the node store",
    404: "no such address; compare [[stow]] url with the server's",
    405: "the address does not store; compare [[stow]] url with the server's",
    407: "a proxy asks for a login",
}
"""Statuses that people end by correcting a setting: repeated, as a rejected AE title is."""
PASSING = {408: "time-out", 425: "too early", 429: "too many requests"}
PERMANENT = {
    400: "bad request",
    406: "no answer in JSON or XML",
    409: "nothing stored",
    410: "gone",
    413: "too large",
    415: "media type not supported",
    422: "cannot be stored",
}

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    ElementTree.ParseError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading an answer that is none may end in."""

Result = str | NodeError
"""The server's answer in words, or why the object did not arrive."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP status with its content."""

    status: int
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What an answer says of single instances (PS3.18 table 10.5.3-2).

    `stored` maps SOP Instance UIDs to a WarningReason (0: none), `failed` to a
    FailureReason (0: none given). `nameless` are the reasons of failures without
    an instance; `legible` is False where content could not be read.
    """

    stored: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    nameless: tuple[int, ...] = ()
    legible: bool = True


def judge(answer: HttpAnswer, uids: Sequence[str]) -> dict[str, Result]:
    """Say for each instance of a request what became of it.

    An instance of which the answer says nothing certain is left out: sent alone,
    the status itself is about it.
    """
    said = read(answer.content)
    results: dict[str, Result] = {}
    for uid in uids:
        result = _of_item(answer.status, said, uid)
        if result is None:
            result = _of_status(answer, said, alone=len(uids) == 1)
        if result is not None:
            results[uid] = result
    return results


def _of_item(status: int, said: StoreAnswer, uid: str) -> Result | None:
    if uid in said.failed:
        return _failure(said.failed[uid])
    if uid in said.stored and 200 <= status < 300:
        reason = said.stored[uid]
        return f"{status} stored, with a warning 0x{reason:04X}" if reason else f"{status} stored"
    return None


def _failure(reason: int) -> Result:
    """Judge a FailureReason; its values are those of C-STORE (PS3.18 table 10.5.3-3)."""
    if reason >> 12 == 0xB or (reason in ARRIVED and reason != DUPLICATE):
        # a success or a warning as the reason of a failure is no success
        words = f"with the reason 0x{reason:04X}" if reason else "without a reason"
        return GiveUp(f"not stored, {words}")
    try:
        return judge_store(reason)
    except NodeError as error:
        return error


def _of_status(answer: HttpAnswer, said: StoreAnswer, *, alone: bool) -> Result | None:
    status = answer.status
    if 200 <= status < 300:
        return _of_success(status, said, alone=alone)
    error: NodeError
    if status in SETTINGS:
        error = TryAgain(f"HTTP {status}: {SETTINGS[status]}")
    elif status in PASSING or status >= 500:
        error = TryAgain(f"HTTP {status}: {PASSING.get(status, 'the server failed')}")
    elif not alone:
        return None  # one of them may have spoilt it for the others
    elif said.nameless:
        return _failure(said.nameless[0])
    else:
        error = GiveUp(f"HTTP {status}: {PERMANENT.get(status, 'refused')}")
    note = _printable(answer.content)
    if note:
        error.add_note(note)
    return error


def _of_success(status: int, said: StoreAnswer, *, alone: bool) -> Result | None:
    """Judge an instance that a successful answer does not name."""
    if not alone and (said.stored or said.failed or said.nameless or status == 202):
        return None
    if said.nameless or said.failed:
        return _failure((*said.nameless, *said.failed.values())[0])
    if status == 202 and not said.legible:
        return TryAgain("HTTP 202 with an answer that cannot be read")
    return f"{status} stored"


def read(content: bytes) -> StoreAnswer:
    """Read an answer in DICOM JSON (PS3.18 annex F) or XML (PS3.19 annex A)."""
    if not content.strip():
        return StoreAnswer()
    try:
        sequences = _from_xml(content) if content.lstrip()[:1] == b"<" else _from_json(content)
        stored = _reasons(sequences.get(REFERENCED_SEQUENCE, ()), WARNING_REASON)
        failed = _reasons(sequences.get(FAILED_SEQUENCE, ()), FAILURE_REASON)
        others = [
            _number(item.get(FAILURE_REASON, "")) for item in sequences.get(OTHER_FAILURES, ())
        ]
    except UNREADABLE:
        return StoreAnswer(legible=False)
    nameless = ([failed.pop("")] if "" in failed else []) + others
    stored.pop("", None)
    return StoreAnswer(stored, failed, tuple(nameless))


Items = Sequence[Mapping[str, str]]


def _reasons(items: Items, reason: str) -> dict[str, int]:
    return {item.get(INSTANCE_UID, ""): _number(item.get(reason, "")) for item in items}


def _from_json(content: bytes) -> dict[str, Items]:
    ds: Any = json.loads(content)
    if isinstance(ds, list):  # some servers wrap the data set
        ds = ds[0] if ds else {}
    if not isinstance(ds, dict):
        raise TypeError("no data set")
    return {
        tag: [_json_item(item) for item in element.get("Value", ())]
        for tag, element in ds.items()
        if isinstance(element, dict) and element.get("vr") == "SQ"
    }


def _json_item(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag: str(value) for tag, element in item.items() for value in _first(element)}


def _first(element: Mapping[str, Any]) -> Iterable[object]:
    values = element.get("Value") or ()
    return values[:1]


def _from_xml(content: bytes) -> dict[str, Items]:
    # expat (2.4.1 and later) stops entities that grow, and the content is bounded
    root = ElementTree.fromstring(content)  # noqa: S314 - see above # nosec B314
    if _name(root) != "NativeDicomModel":
        raise ValueError("no data set")
    return {
        element.get("tag", ""): [_xml_item(item) for item in element if _name(item) == "Item"]
        for element in root
        if element.get("vr") == "SQ"
    }


def _xml_item(item: ElementTree.Element) -> dict[str, str]:
    return {
        element.get("tag", ""): (value.text or "").strip()
        for element in item
        for value in element
        if _name(value) == "Value"
    }


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _number(text: str) -> int:
    return int(float(text)) if text else 0


def _printable(content: bytes) -> str:
    """Give the server's own words; they may name a patient."""
    text = re.sub(r"<[^>]*>", " ", content[:4096].decode("utf-8", "replace"))
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())[
        :LONGEST_NOTE
    ]
