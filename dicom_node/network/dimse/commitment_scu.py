"""Asking for storage commitment by N-ACTION."""

import threading

from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event as DimseEvent
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.exchange.commitment import (
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
    SUCCESS,
    Request,
)
from dicom_node.network.dimse.association import (
    NothingAccepted,
    OutgoingAssociation,
    Target,
    open_association,
)
from dicom_node.network.dimse.commitment import (
    SYNTAXES,
    Event,
    ReportHandler,
    action_information,
    answer,
)

LINGER_S = 3.0
"""For the report on the same association; most peers open one of their own."""
NOT_OFFERED = "the peer does not offer storage commitment (no presentation context)"


def ask(
    request: Request, target: Target, record_report: ReportHandler, linger_s: float = LINGER_S
) -> None:
    """Send a request, and take a report that comes over the same association.

    Raises TryAgain when the peer did not take the request, GiveUp when it never will.
    """
    listening = _Listening(record_report)
    try:
        with open_association(target, [build_context(PUSH_MODEL, list(SYNTAXES))]) as line:
            listening.bind(line)
            _send(request, target, line)
            line.watchdog.allow(linger_s + target.timeouts.dimse_s)
            listening.wait(linger_s)
    except NothingAccepted:
        raise GiveUp(NOT_OFFERED) from None


def _send(request: Request, target: Target, line: OutgoingAssociation) -> None:
    line.watchdog.allow(target.timeouts.dimse_s)
    try:
        status, _ = line.assoc.send_n_action(
            action_information(request), REQUEST_COMMITMENT, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
    except (RuntimeError, ValueError) as error:  # ended meanwhile, or no fitting context
        raise TryAgain("the peer ended the association") from error
    code = status.get("Status")
    if code is None:
        raise TryAgain("no answer to N-ACTION")
    words = f"N-ACTION answered 0x{code:04X}"
    if code in (PROCESSING_FAILURE, OUT_OF_RESOURCES):
        raise TryAgain(words)
    if code != SUCCESS:
        raise GiveUp(words)


class _Listening:
    """Waits for one report and until its answer has left."""

    def __init__(self, record_report: ReportHandler) -> None:
        self._record_report = record_report
        self._heard = False
        self._answered = threading.Event()

    def bind(self, line: OutgoingAssociation) -> None:
        """Listen on an association; pynetdicom takes reports on threads of their own."""
        line.assoc.bind(evt.EVT_N_EVENT_REPORT, self._report)
        line.assoc.bind(evt.EVT_PDU_SENT, self._sent)
        line.assoc.bind(evt.EVT_CONN_CLOSE, self._closed)

    def wait(self, limit_s: float) -> None:
        """Wait for the report, so long at most."""
        self._answered.wait(limit_s)

    def _report(self, event: DimseEvent) -> tuple[int, None]:
        request = event.request
        assert isinstance(request, N_EVENT_REPORT)  # noqa: S101 - bound to no other
        content = request.EventInformation
        status, _ = answer(
            Event(
                sop_class_uid=str(request.AffectedSOPClassUID or ""),
                sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
                event_type=request.EventTypeID,
                content=b"" if content is None else content.getvalue(),
                syntax_uid=str(event.context.transfer_syntax),
            ),
            self._record_report,
        )
        self._heard = True
        return status, None

    def _sent(self, event: DimseEvent) -> None:
        # releasing before the answer has left would leave the peer without one
        if self._heard and isinstance(event.pdu, P_DATA_TF):
            self._answered.set()

    def _closed(self, event: DimseEvent) -> None:
        self._answered.set()
