"""Keep a lease alive while long work goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from dicom_node.domain.errors import NodeError
from dicom_node.domain.pipeline import Ledger
from dicom_node.domain.work import Claim, DeliveryBatch

log = structlog.get_logger()


@contextmanager
def kept_lease(
    ledger: Ledger, held: Claim | DeliveryBatch, clock: Callable[[], float], lease_s: float
) -> Iterator[None]:
    """Extend the lease from a thread, three times in its length, until the block ends.

    A lease that is lost is not an error here: finishing the work finds out
    (LeaseLost) and writes nothing.
    """
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease_s / 3):
            try:
                if not ledger.extend_lease(held, clock(), lease_s):
                    return
            except NodeError as error:
                log.warning("lease_not_extended", worker=held.worker, reason=str(error))

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
