"""Storage commitment data sets, and the answer to a report."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.domain.errors import NotAnalysable, Refused
from dicom_node.domain.exchange.commitment import (
    ALL_KEPT,
    INVALID_ARGUMENT,
    NO_SUCH_CLASS,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    SOME_MISSING,
    SUCCESS,
    Report,
    Request,
)
from dicom_node.formats.dicom.attributes import clean
from dicom_node.formats.dicom.parsing import parse_file

log = structlog.get_logger()

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

ReportHandler = Callable[[Report], None]
"""Keeps a report durably; raises Refused."""


@dataclass(frozen=True, slots=True)
class Event:
    """One N-EVENT-REPORT request (PS3.7 10.1.1), its data set still encoded."""

    sop_class_uid: str
    sop_instance_uid: str
    event_type: int | None
    content: bytes
    syntax_uid: str


def action_information(request: Request) -> Dataset:
    """Make the Action Information of a request (PS3.4 table J.3-1)."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    ds.ReferencedSOPSequence = []
    for ref in request.objects:
        item = Dataset()
        item.ReferencedSOPClassUID = ref.sop_class_uid
        item.ReferencedSOPInstanceUID = ref.sop_instance_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


def answer(event: Event, record_report: ReportHandler) -> tuple[int, str]:
    """Give the status and comment that answer a report; never raises."""
    try:
        record_report(_report(event))
    except Refused as refusal:
        log.warning("report_refused", status=f"{refusal.status:04X}", reason=refusal.comment)
        return refusal.status, refusal.comment
    except Exception as error:  # noqa: BLE001 - the handler's edge: the association lives on
        log.error("report_failed", error=type(error).__name__)
        return PROCESSING_FAILURE, "internal error"
    return SUCCESS, ""


def _report(event: Event) -> Report:
    """Read what the peer says; raises Refused."""
    if event.sop_class_uid != PUSH_MODEL:
        raise Refused(NO_SUCH_CLASS, "not the Storage Commitment Push Model")
    if event.sop_instance_uid != PUSH_MODEL_INSTANCE:
        raise Refused(NO_SUCH_INSTANCE, "not the well-known instance")
    if event.event_type not in (ALL_KEPT, SOME_MISSING):
        raise Refused(NO_SUCH_EVENT_TYPE, "event type is neither 1 nor 2")
    try:
        ds = parse_file(BytesIO(event.content), event.syntax_uid)
        report = Report(
            clean(str(ds.get("TransactionUID") or "")),
            tuple(uid for uid, _ in _items(ds, "ReferencedSOPSequence")),
            tuple(_items(ds, "FailedSOPSequence")),
        )
    except (NotAnalysable, Refused):
        raise Refused(INVALID_ARGUMENT, "the event information cannot be read") from None
    except Exception as error:  # a damaged data set fails in many ways
        raise Refused(INVALID_ARGUMENT, "the event information cannot be read") from error
    if not report.transaction_uid or not (report.kept or report.missing):
        raise Refused(INVALID_ARGUMENT, "no transaction UID, or no instances")
    return report


def _items(ds: Dataset, keyword: str) -> Iterable[tuple[str, int]]:
    for item in ds.get(keyword) or ():
        # an instance whose failure has no reason has failed all the same
        reason = int(item.get("FailureReason") or PROCESSING_FAILURE)
        yield clean(str(item.ReferencedSOPInstanceUID)), reason
