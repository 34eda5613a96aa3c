"""Receiving: one C-STORE becomes a safe file and a row."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Protocol

import structlog

from dicom_node.domain.admission import Route, admit
from dicom_node.domain.errors import GiveUp, NotAnalysable, Refused, TryAgain
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.reception import (
    CANNOT_UNDERSTAND,
    DATA_SET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    StoreRequest,
)
from dicom_node.domain.study import Instance
from dicom_node.domain.work import Admission, Arrival, Recorded, StoredFile
from dicom_node.process import crash_points

log = structlog.get_logger()

FOLDER = "instances"


class Recorder(Protocol):
    """What receiving needs of the ledger."""

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        """Write the instance and its jobs, or find that it is known; see `Ledger`."""


@dataclass(frozen=True, slots=True)
class Reception:
    """What receiving needs."""

    archive: Archive
    ledger: Recorder
    describe: Callable[[BinaryIO, str], Instance]
    """Parses a data set in a transfer syntax up to the pixels; raises NotAnalysable."""
    routes: tuple[Route, ...]
    min_free_bytes: int
    """The reserve that receiving leaves on the disk."""
    raise_priority: Callable[[Instance], int] | None = None
    """Gives the instance's jobs the priority of its order."""
    note: Callable[[Arrival, Recorded], None] = lambda _arrival, _recorded: None
    """Tells the audit trail of what was received; never raises."""


def receive(request: StoreRequest, reception: Reception, now: float) -> Recorded:
    """Store one instance durably and record it with its jobs.

    When this returns, file and row survive a power loss. Raises Refused with the
    status to answer; then nothing was recorded, and a file that was written is
    left to `tidy`: the row may exist though its commit seemed to fail.
    """
    bound = log.bind(
        sop_instance_uid=request.sop_instance_uid,
        sop_class_uid=request.sop_class_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
        calling_ae=request.caller.calling_ae,
        bytes=request.size,
    )
    try:
        instance = _describe(request, reception)
        recorded = _record(request, instance, reception, now, bound)
    except Refused as refusal:
        bound.warning("instance_refused", status=f"{refusal.status:04X}", reason=refusal.comment)
        raise
    return recorded


def _describe(request: StoreRequest, reception: Reception) -> Instance:
    """Give the header's facts; raises Refused where they do not hold together."""
    try:
        instance = reception.describe(_opened(request), request.transfer_syntax_uid)
    except NotAnalysable as error:
        raise Refused(CANNOT_UNDERSTAND, str(error)) from error
    if request.study_uid and instance.study_uid != request.study_uid:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "StudyInstanceUID is not the request's")
    ref = instance.ref
    for value, name in (
        (ref.sop_class_uid, "(0008,0016) SOPClassUID"),
        (ref.sop_instance_uid, "(0008,0018) SOPInstanceUID"),
        (instance.study_uid, "(0020,000D) StudyInstanceUID"),
        (instance.series_uid, "(0020,000E) SeriesInstanceUID"),
    ):
        if not value:
            raise Refused(DATA_SET_DOES_NOT_MATCH, f"{name} is missing")
    if ref.sop_instance_uid != request.sop_instance_uid:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "(0008,0018) SOPInstanceUID is not the command's")
    if ref.sop_class_uid != request.sop_class_uid:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "(0008,0016) SOPClassUID is not the command's")
    if ref.sop_class_uid != request.context_class_uid:
        raise Refused(DATA_SET_DOES_NOT_MATCH, "(0008,0016) SOPClassUID is not the context's")
    return instance


def _opened(request: StoreRequest) -> BinaryIO:
    """Give the data set from its first element on."""
    if isinstance(request.content, bytes):
        return BytesIO(request.content)
    return request.content.read_from(len(request.file_head))


def _pending(request: StoreRequest) -> int:
    """Say how many bytes are yet to be written."""
    return request.size if isinstance(request.content, bytes) else request.content.pending


def _stored(request: StoreRequest, archive: Archive) -> StoredFile:
    """Store the instance durably; raises TryAgain.

    The head depends on class, instance and syntax alone, so equal data sets from
    different callers are equal files.
    """
    if isinstance(request.content, bytes):
        return archive.put((request.file_head, request.content), FOLDER, ".dcm")
    return request.content.keep(FOLDER, ".dcm")


def _record(
    request: StoreRequest,
    instance: Instance,
    reception: Reception,
    now: float,
    bound: structlog.typing.FilteringBoundLogger,
) -> Recorded:
    """Write the file, then the row; raises Refused when either cannot be had now."""
    caller = request.caller
    admission = admit(instance, caller.calling_ae, reception.routes)
    try:
        if reception.archive.free_bytes() - _pending(request) < reception.min_free_bytes:
            raise Refused(OUT_OF_RESOURCES, "disk space is below the reserve")
        file = _stored(request, reception.archive)
        crash_points.here("instance stored")
        arrival = Arrival(instance, file, caller.calling_ae, caller.called_ae, caller.host, now)
        recorded = reception.ledger.record(arrival, admission)
        crash_points.here("instance recorded")
        reception.note(arrival, recorded)
    except (TryAgain, MemoryError) as error:
        bound.error("reception_failed", error=type(error).__name__, reason=str(error))
        raise Refused(OUT_OF_RESOURCES, "storage or database unavailable, repeat later") from error
    bound = bound.bind(study_uid=instance.study_uid, deviations=instance.deviations)
    if recorded is Recorded.CONFLICT:
        bound.error("instance_conflict")
    elif recorded is Recorded.SAME:
        bound.info("instance_duplicate")
    else:
        jobs = [job.pipeline for job in admission.jobs]
        bound.info("instance_received", jobs=jobs, not_analysed=admission.not_analysed)
        if jobs and reception.raise_priority is not None:
            _raise_priority(instance, reception.raise_priority, bound)
    return recorded


def _raise_priority(
    instance: Instance,
    raise_priority: Callable[[Instance], int],
    bound: structlog.typing.FilteringBoundLogger,
) -> None:
    """Let an urgent order go first; the instance is safe, whatever becomes of this."""
    try:
        if raise_priority(instance):
            bound.info("priority_raised")
    except (TryAgain, GiveUp) as error:
        bound.error("priority_not_raised", error=type(error).__name__, reason=str(error))
