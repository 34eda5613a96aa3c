"""Storage commitment's turn: ask whether results are kept, take the answer."""

from collections.abc import Callable, Sequence

import structlog

from dicom_node.domain.errors import NodeError, Refused
from dicom_node.domain.exchange.commitment import (
    INVALID_ARGUMENT,
    OUT_OF_RESOURCES,
    CommitmentBook,
    Report,
    Request,
)
from dicom_node.process import crash_points

log = structlog.get_logger()

Ask = Callable[[Request], None]
"""Send one N-ACTION; raises NodeError when the peer did not take it."""


def request_commitments(
    book: CommitmentBook,
    ask: Ask,
    destination: str,
    timeout_s: float,
    clock: Callable[[], float],
) -> int:
    """Ask a peer about what is due; say how many objects that were.

    Raises TryAgain when the database is away: a request that left is known already,
    and asked again under another UID if nothing comes of it.
    """
    request = book.ask(destination, clock())
    if request is None:
        return 0
    crash_points.here("commitment asked")
    bound = log.bind(
        destination=destination,
        transaction_uid=request.transaction_uid,
        objects=len(request.objects),
    )
    try:
        ask(request)
    except NodeError as error:
        bound.warning("commitment_not_asked", error=type(error).__name__, reason=str(error))
        book.not_asked(request, str(error), clock())
        return len(request.objects)
    crash_points.here("commitment accepted")
    book.asked(request, clock(), timeout_s)
    bound.info("commitment_asked")
    return len(request.objects)


def take_report(
    book: CommitmentBook, report: Report, destinations: Sequence[str], now: float
) -> None:
    """Take a peer's report durably; raises Refused with the status to answer."""
    bound = log.bind(transaction_uid=report.transaction_uid, destinations=list(destinations))
    try:
        outcome = book.record_report(report, destinations, now)
    except NodeError as error:
        bound.error("commitment_report_not_recorded", reason=str(error))
        raise Refused(OUT_OF_RESOURCES, "database not available; repeat later") from error
    if outcome is None:
        bound.warning("commitment_unknown")
        raise Refused(INVALID_ARGUMENT, "no such transaction of this peer")
    crash_points.here("commitment heard")
    bound = bound.bind(committed=outcome.committed, again=outcome.again, given_up=outcome.given_up)
    if outcome.again or outcome.given_up:
        bound.warning("commitment_failed")
    else:
        bound.info("commitment_reported")
