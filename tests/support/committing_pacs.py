"""A PACS that is asked for storage commitment and answers as a test wants."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.events import Event
from pynetdicom.presentation import build_context, build_role

from dicom_node.domain.exchange.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from tests.support.dimse_peers import Scp, running_scp

SR = "1.2.840.10008.5.1.4.1.1.88.33"
Failed = Sequence[tuple[str, int]]


def report(transaction_uid: str, kept: Sequence[str], failed: Failed = ()) -> Dataset:
    """Make the Event Information of a report (PS3.4 table J.3-2)."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = [_item(uid) for uid in kept]
    ds.FailedSOPSequence = [_item(uid, reason) for uid, reason in failed]
    return ds


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SR, uid
    if reason is not None:
        item.FailureReason = reason
    return item


def call(port: int, ds: Dataset, event_type: int = 1, **how: str | bool | None) -> int | None:
    """Report on an association of the PACS's own; gives the status, None for no context.

    `how`: `ae`, `roles` (False: without role selection), `instance`.
    """
    ae = AE(str(how.get("ae", "PACS")))
    ae.acse_timeout = ae.dimse_timeout = 20
    roles = [build_role(PUSH_MODEL, scp_role=True)] if how.get("roles", True) else []
    context = build_context(PUSH_MODEL, [ExplicitVRLittleEndian])
    assoc = ae.associate("127.0.0.1", port, [context], "CXRAI", ext_neg=list(roles))
    if not assoc.is_established:
        return None
    if not roles:
        # pynetdicom would not send as an SCU what a careless PACS does send
        assoc.accepted_contexts[0]._as_scp = True
    instance = str(how.get("instance", PUSH_MODEL_INSTANCE))
    status, _ = assoc.send_n_event_report(ds, event_type, PUSH_MODEL, instance)
    assoc.release()
    return int(status.Status) if "Status" in status else None


@dataclass
class Pacs:
    """A running PACS and what it was asked."""

    scp: Scp = field(init=False)
    requests: list[Dataset] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses that its reports on the same association were answered with."""

    @property
    def port(self) -> int:
        return self.scp.target.peer.port

    @property
    def received(self) -> list[Dataset]:
        """What was stored, once for each time that it came."""
        return self.scp.decoded()

    @property
    def stored(self) -> list[str]:
        return [str(ds.SOPInstanceUID) for ds in self.received]

    def asked(self, number: int = -1) -> tuple[str, list[str]]:
        """Transaction UID and SOP Instance UIDs of a request."""
        ds = self.requests[number]
        return str(ds.TransactionUID), [
            str(item.ReferencedSOPInstanceUID) for item in ds.ReferencedSOPSequence
        ]


@contextmanager
def pacs(
    status: int = 0x0000,
    reports: Callable[[str, list[str]], Dataset] | None = None,
    offered: Sequence[str] = (PUSH_MODEL,),
    early: bool = False,
) -> Iterator[Pacs]:
    """Run a PACS; `reports` makes what it says over the association of the request.

    It says so after it has answered the request, or `early`: before.
    """
    running = Pacs()

    def asked(event: Event) -> tuple[int, None]:
        running.requests.append(event.action_information)
        if early:
            tell(event)
        return status, None

    def answered(event: Event) -> None:
        if isinstance(event.message, N_ACTION_RSP) and reports is not None and not early:
            threading.Thread(target=tell, args=(event,)).start()

    def tell(event: Event) -> None:
        said = reports(*running.asked()) if reports is not None else Dataset()
        kind = 2 if said.FailedSOPSequence else 1
        answer, _ = event.assoc.send_n_event_report(said, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        if "Status" in answer:
            running.answers.append(int(answer.Status))

    def prepare(ae: AE) -> None:
        ae.ae_title = "PACS"
        ae.supported_contexts = [build_context(one) for one in (*offered, SR)]

    extra = [(evt.EVT_N_ACTION, asked), (evt.EVT_DIMSE_SENT, answered)]
    with running_scp(prepare_ae=prepare, extra=extra) as running.scp:
        yield running


def unknown() -> str:
    return str(generate_uid())
