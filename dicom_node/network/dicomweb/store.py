"""Parts of a STOW-RS request to store requests, and outcomes to its answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO

from dicom_node.domain.errors import NotAnalysable, Refused
from dicom_node.domain.reception import CANNOT_UNDERSTAND, SUCCESS, Caller, StoreRequest
from dicom_node.formats.dicom.attributes import printable
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.formats.dicom.parsing import read_file_meta
from dicom_node.network.dicomweb.answers import (
    FAILED_SEQUENCE,
    FAILURE_REASON,
    INSTANCE_UID,
    OTHER_FAILURES,
    REFERENCED_SEQUENCE,
    WARNING_REASON,
)
from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES

# Failure reasons beside those of C-STORE (PS3.18 table 10.5.3-3)
SOP_CLASS_NOT_SUPPORTED = 0x0122
SYNTAX_NOT_SUPPORTED = 0xC122

RETRIEVE_URL, CLASS_UID = "00081190", "00081150"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one part: the UIDs it names, "" for none, and the status."""

    sop_class_uid: str
    sop_instance_uid: str
    status: int

    @property
    def is_stored(self) -> bool:
        """Whether the status is a success or a warning."""
        return self.status == SUCCESS or self.status >> 12 == 0xB


def store_request(content: bytes, caller: Caller, study_uid: str = "") -> StoreRequest:
    """Make a request of a Part 10 file; raises Refused for what is none.

    Its head is made anew, so that an instance is the same file whichever way it comes.
    """
    if content[128:132] != b"DICM":
        raise Refused(CANNOT_UNDERSTAND, "a part is no DICOM file (PS3.10)")
    file = BytesIO(content)
    try:
        meta = read_file_meta(file)
    except NotAnalysable as error:
        raise Refused(CANNOT_UNDERSTAND, "the file meta information cannot be read") from error
    class_uid = printable(meta, "MediaStorageSOPClassUID")
    instance_uid = printable(meta, "MediaStorageSOPInstanceUID")
    syntax = printable(meta, "TransferSyntaxUID")
    return StoreRequest(
        caller=caller,
        context_class_uid=class_uid,  # no association, so no context of its own
        sop_class_uid=class_uid,
        sop_instance_uid=instance_uid,
        transfer_syntax_uid=syntax,
        file_head=file_head(class_uid, instance_uid, syntax),
        content=content[file.tell() :],
        study_uid=study_uid,
    )


def refuse_unsupported(request: StoreRequest) -> None:
    """Refuse what no presentation context would take; raises Refused."""
    if not (request.sop_class_uid and request.sop_instance_uid and request.transfer_syntax_uid):
        raise Refused(CANNOT_UNDERSTAND, "the file meta information lacks a UID")
    if request.sop_class_uid not in IMAGE_CLASSES:
        raise Refused(SOP_CLASS_NOT_SUPPORTED, "SOP class not supported")
    if request.transfer_syntax_uid not in IMAGE_SYNTAXES:
        raise Refused(SYNTAX_NOT_SUPPORTED, "transfer syntax not supported")


def answer_to(outcomes: Sequence[StoreOutcome]) -> tuple[HTTPStatus, bytes]:
    """Give status and content of the answer (PS3.18 10.5.3, tables 10.5.3-1 and -2)."""
    stored = [outcome for outcome in outcomes if outcome.is_stored]
    named = [outcome for outcome in outcomes if not outcome.is_stored and outcome.sop_instance_uid]
    others = [
        outcome for outcome in outcomes if not outcome.is_stored and not outcome.sop_instance_uid
    ]
    ds: dict[str, object] = {RETRIEVE_URL: {"vr": "UR"}}  # type 2: the node retrieves nothing
    if named:
        ds[FAILED_SEQUENCE] = _sequence(
            [{**_ref(outcome), **_us(FAILURE_REASON, outcome.status)} for outcome in named]
        )
    if stored:
        ds[REFERENCED_SEQUENCE] = _sequence(
            [{**_ref(outcome), **_warning(outcome)} for outcome in stored]
        )
    if others:
        ds[OTHER_FAILURES] = _sequence([_us(FAILURE_REASON, other.status) for other in others])
    return _status(outcomes), json.dumps(ds).encode()


def _status(outcomes: Sequence[StoreOutcome]) -> HTTPStatus:
    if not outcomes:
        return HTTPStatus.BAD_REQUEST
    if all(outcome.status == SUCCESS for outcome in outcomes):
        return HTTPStatus.OK
    if any(outcome.is_stored for outcome in outcomes):
        return HTTPStatus.ACCEPTED
    if all(outcome.status >> 8 == 0xA7 for outcome in outcomes):
        return HTTPStatus.SERVICE_UNAVAILABLE  # "out of resources": worth repeating
    return HTTPStatus.CONFLICT


def _sequence(items: list[dict[str, object]]) -> dict[str, object]:
    return {"vr": "SQ", "Value": items}


def _ref(outcome: StoreOutcome) -> dict[str, object]:
    return {
        CLASS_UID: {"vr": "UI", "Value": [outcome.sop_class_uid]},
        INSTANCE_UID: {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }


def _warning(outcome: StoreOutcome) -> dict[str, object]:
    return {} if outcome.status == SUCCESS else _us(WARNING_REASON, outcome.status)


def _us(tag: str, value: int) -> dict[str, object]:
    return {tag: {"vr": "US", "Value": [value]}}
