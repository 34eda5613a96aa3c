"""C-STORE requests, their statuses, and caller policy."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from dicom_node.domain.archive import Spool
from dicom_node.domain.study import Peer

UnknownCallers = Literal["reject", "accept", "learn"]

# C-STORE statuses (PS3.4 B.2.3, PS3.7 annex C)
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CONFLICT = 0xB007
CANNOT_UNDERSTAND = 0xC000

STORE_STATUSES = {
    SUCCESS: "the instance is on disk and in the database, or was there already",
    CONFLICT: "an instance with this UID and other content is known; the first is kept",
    PROCESSING_FAILURE: "internal error; nothing was stored",
    OUT_OF_RESOURCES: "disk below its reserve, database or memory not available; repeat later",
    DATA_SET_DOES_NOT_MATCH: "a UID is missing, or is not the command's or the context's",
    CANNOT_UNDERSTAND: "the data set cannot be parsed",
}
"""What each status of ours says; it tells of receipt and storage, never of analysis."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens an association: its title and the address that it comes from."""

    calling_ae: str
    called_ae: str
    host: str
    tls: bool = False
    fingerprint: str = ""
    """The SHA-256 of the certificate that it showed; "" for none."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One C-STORE request (PS3.7 9.1.1), with the data set still encoded."""

    caller: Caller
    context_class_uid: str
    """The abstract syntax of the presentation context."""
    sop_class_uid: str
    """Affected SOP Class UID of the command; "" when it is missing."""
    sop_instance_uid: str
    transfer_syntax_uid: str
    file_head: bytes
    """Preamble and File Meta (PS3.10 7.1) that make a file of `content`."""
    content: bytes | Spool
    """The data set, bit for bit as received; a spool holds it behind `file_head`."""
    study_uid: str = ""
    """The study that it is to be of, where the caller named one (STOW-RS)."""

    @property
    def size(self) -> int:
        """Bytes of the data set."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.size - len(self.file_head)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a caller is served; if not, why, and whether to remember it."""

    served: bool
    reason: str = ""
    learn: bool = False


def judge_caller(
    caller: Caller,
    peers: tuple[Peer, ...],
    unknown_callers: UnknownCallers,
    addresses_of: Callable[[str], Collection[str]],
    is_approved: Callable[[Caller], bool] = lambda _: False,
) -> Verdict:
    """Say whether the caller may send.

    A title that a peer has counts as that peer, under every rule for unknown
    callers: it must be allowed to send, come from the peer's host, and call over TLS
    with the peer's certificate where the peer has these. `addresses_of` resolves a
    host name, `is_approved` says whether a person approved of an unknown caller.
    """
    namesakes = [peer for peer in peers if peer.ae_title == caller.calling_ae]
    if not namesakes:
        if unknown_callers == "accept" or is_approved(caller):
            return Verdict(served=True)
        return Verdict(False, "unknown calling AE title", learn=unknown_callers == "learn")
    senders = [peer for peer in namesakes if peer.may_send]
    if not senders:
        return Verdict(False, "peer may not send")
    there = [peer for peer in senders if not peer.host or caller.host in addresses_of(peer.host)]
    if not there:
        return Verdict(False, "known AE title from another host")
    if all(peer.tls and not caller.tls for peer in there):
        return Verdict(False, "peer must call over TLS")
    if any(_has_shown(caller, peer) for peer in there):
        return Verdict(served=True)
    return Verdict(False, "peer shows another certificate than the one of tls_fingerprint")


def _has_shown(caller: Caller, peer: Peer) -> bool:
    """Say whether the caller came in the way that the peer is configured for."""
    if not peer.tls:
        return True
    return caller.tls and peer.tls_fingerprint in ("", caller.fingerprint)
