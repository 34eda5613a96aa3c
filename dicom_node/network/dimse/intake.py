"""What takes the data sets of requests: an image into a file, a report into memory."""

from collections.abc import Callable, Sequence

import structlog

from dicom_node.domain.archive import Spool
from dicom_node.domain.errors import Refused, TryAgain
from dicom_node.domain.reception import (
    CONFLICT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    Caller,
    StoreRequest,
)
from dicom_node.domain.work import Recorded
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.network.dimse.commitment import Event, ReportHandler, answer
from dicom_node.network.dimse.messages import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    EVENT_TYPE_ID,
    Message,
)
from dicom_node.network.dimse.upper_layer.negotiation import Agreed
from dicom_node.process.logs import log_failure

log = structlog.get_logger()

ROOM_STEP = 16 << 20
"""Bytes of a data set after which the disk is looked at again."""
LARGEST_REPORT = 16 << 20
"""Bytes of a report of storage commitment: some 100,000 instances."""

Answer = tuple[int, str]
"""Status and comment of a response."""


class StoreIntake:
    """One C-STORE: the data set goes into a file as it comes."""

    def __init__(
        self,
        message: Message,
        agreed: Agreed,
        caller: Caller,
        spool: Callable[[], Spool],
        has_room: Callable[[], bool],
        store: Callable[[StoreRequest], Recorded],
    ) -> None:
        self._class_uid = message.text(AFFECTED_SOP_CLASS_UID)
        self._instance_uid = message.text(AFFECTED_SOP_INSTANCE_UID)
        self._agreed, self._caller = agreed, caller
        self._head = file_head(self._class_uid, self._instance_uid, agreed.transfer_syntax)
        self._has_room, self._store = has_room, store
        self._spool: Spool | None = None
        self._looked_at = 0
        self._fault = _fault_of(lambda: self._open(spool))

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Write to the file; after a fault the rest passes by."""
        if self._fault is None:
            self._fault = _fault_of(lambda: self._write(pieces))
            if self._fault is not None:
                self.drop()

    def answer(self) -> Answer:
        """Store what came."""
        if self._fault is None:
            recorded: list[Recorded] = []
            self._fault = _fault_of(lambda: recorded.append(self._store(self._request())))
            if recorded == [Recorded.CONFLICT]:
                return CONFLICT, "instance is known with other content; the first is kept"
        else:
            self._tell_refusal(*self._fault)
        return self._fault or (SUCCESS, "")

    def drop(self) -> None:
        """Remove the file, unless it was stored."""
        if self._spool is not None:
            self._spool.drop()

    def _open(self, spool: Callable[[], Spool]) -> None:
        self._spool = spool()
        self._spool.write((self._head,))

    def _write(self, pieces: Sequence[memoryview]) -> None:
        assert self._spool is not None  # noqa: S101 - types: without one there is a fault
        self._spool.write(pieces)
        if self._spool.size - self._looked_at > ROOM_STEP:
            self._looked_at = self._spool.size
            if not self._has_room():
                raise Refused(OUT_OF_RESOURCES, "disk space is below the reserve")

    def _request(self) -> StoreRequest:
        assert self._spool is not None  # noqa: S101 - types: without one there is a fault
        return StoreRequest(
            caller=self._caller,
            context_class_uid=self._agreed.abstract_syntax,
            sop_class_uid=self._class_uid,
            sop_instance_uid=self._instance_uid,
            transfer_syntax_uid=self._agreed.transfer_syntax,
            file_head=self._head,
            content=self._spool,
        )

    def _tell_refusal(self, status: int, comment: str) -> None:
        """Leave the line that `flow.receive` writes about what comes to it whole."""
        log.warning(
            "instance_refused",
            sop_instance_uid=self._instance_uid,
            sop_class_uid=self._class_uid,
            transfer_syntax_uid=self._agreed.transfer_syntax,
            calling_ae=self._caller.calling_ae,
            status=f"{status:04X}",
            reason=comment,
        )


class ReportIntake:
    """One N-EVENT-REPORT of storage commitment, as small as such are."""

    def __init__(self, message: Message, agreed: Agreed, record_report: ReportHandler) -> None:
        self._message, self._agreed, self._record_report = message, agreed, record_report
        self._content = bytearray()

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Keep what came, up to the limit and a little."""
        if len(self._content) <= LARGEST_REPORT:
            self._content += b"".join(pieces)

    def answer(self) -> Answer:
        """Hear the report."""
        if len(self._content) > LARGEST_REPORT:
            return OUT_OF_RESOURCES, "the report is larger than is taken"
        event = Event(
            sop_class_uid=self._message.text(AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=self._message.text(AFFECTED_SOP_INSTANCE_UID),
            event_type=self._message.number(EVENT_TYPE_ID),
            content=bytes(self._content),
            syntax_uid=self._agreed.transfer_syntax,
        )
        return answer(event, self._record_report)

    def drop(self) -> None:
        """Have nothing that outlives it."""


def _fault_of(step: Callable[[], object]) -> Answer | None:
    """Take a step; give what its fault is answered with. Never raises."""
    try:
        step()
    except Refused as refusal:
        return refusal.status, refusal.comment
    except TryAgain as error:
        log.error("reception_failed", error=type(error).__name__, reason=str(error))
        return OUT_OF_RESOURCES, "storage or database unavailable, repeat later"
    except MemoryError as error:
        log_failure("store_failed", type(error), error.__traceback__)
        return OUT_OF_RESOURCES, "out of memory"
    except Exception as error:  # noqa: BLE001 - the edge: the association lives on
        log_failure("store_failed", type(error), error.__traceback__)
        return PROCESSING_FAILURE, "internal error"
    return None
