"""Sending by C-STORE, and asking peers what they accept."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from dicom_node.domain.errors import GiveUp, NodeError, NotTaken, TryAgain
from dicom_node.domain.pipeline import Archive, Check
from dicom_node.domain.work import Acknowledgement, DeliveryBatch, Undelivered
from dicom_node.network.dimse.answers import judge_store
from dicom_node.network.dimse.association import (
    NothingAccepted,
    OutgoingAssociation,
    Target,
    open_association,
)

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
CONVERTIBLE = (*NATIVE, DeflatedExplicitVRLittleEndian)
"""Syntaxes that become NATIVE ones by another encoding of the same elements.

Big endian is sent as it is or not at all: swapping it takes the word size of every
private element.
"""
META_KEYWORDS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
MOST_CONTEXTS = 128
"""PS3.8 9.3.2.2: the identifiers are the odd numbers up to 255."""
SLOWEST_PEER = 100_000
"""Bytes per second below which a transfer counts as stuck."""

Offer = tuple[str, str]
"""SOP class UID and transfer syntax UID."""
Result = str | NodeError
"""The peer's answer in words, or why the object did not arrive."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A Part 10 file on its way out; `size` in bytes."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    syntax_uid: str
    size: int


class _Broken(TryAgain):
    """The association ended, or must, while one object was under way."""


def outgoing(path: Path) -> Outgoing:
    """Read the file meta information (PS3.10 7.1).

    Raises TryAgain when the file cannot be read, GiveUp when it is no DICOM file.
    """
    try:
        meta = read_file_meta_info(path)
        uids = [str(meta.get(keyword, "")) for keyword in META_KEYWORDS]
        size = path.stat().st_size
    except OSError as error:
        raise TryAgain(f"cannot read the file: {error.strerror}") from error
    except Exception as error:  # a damaged header fails in many ways
        raise GiveUp(f"no DICOM file ({type(error).__name__})") from error
    if "" in uids:
        missing = META_KEYWORDS[uids.index("")]
        raise GiveUp(f"the file meta information lacks {missing}")
    sop_class_uid, sop_instance_uid, syntax_uid = uids
    return Outgoing(path, sop_class_uid, sop_instance_uid, syntax_uid, size)


def echo(target: Target) -> Check:
    """Send a C-ECHO (PS3.4 annex A)."""
    try:
        with open_association(target, [build_context(Verification)]) as line:
            started = time.perf_counter()
            line.watchdog.allow(target.timeouts.dimse_s)
            answer = line.assoc.send_c_echo()
            spent_ms = 1000 * (time.perf_counter() - started)
    except NodeError as error:
        return Check(target.peer.name, False, str(error))
    except RuntimeError:  # from pynetdicom, where the peer was quicker than the request
        return Check(target.peer.name, False, "the peer ended the association")
    status = answer.get("Status")
    if status != 0x0000:
        words = "no answer to C-ECHO" if status is None else f"C-ECHO answered 0x{status:04X}"
        return Check(target.peer.name, False, words)
    words = f"{target.peer.ae_title} at {target.where} answers C-ECHO in {spent_ms:.1f} ms"
    return Check(target.peer.name, True, words)


def accepted(target: Target, offers: Sequence[Offer]) -> tuple[bool, ...]:
    """Ask which pairs of SOP class and transfer syntax a peer takes, in order.

    Raises TryAgain when no association can be had.
    """
    taken: set[Offer] = set()
    asked = list(dict.fromkeys(offers))
    for start in range(0, len(asked), MOST_CONTEXTS):
        part = asked[start : start + MOST_CONTEXTS]
        try:
            with open_association(target, [build_context(*offer) for offer in part]) as line:
                taken |= _taken(line)
        except NothingAccepted:
            continue
    return tuple(offer in taken for offer in offers)


def send(
    batch: DeliveryBatch, archive: Archive, target: Target
) -> tuple[Acknowledgement | Undelivered, ...]:
    """Send a batch over one association: the sender for one DICOM peer."""
    outcomes: list[Acknowledgement | Undelivered] = []
    files: dict[int, Outgoing] = {}
    with ExitStack() as opened:
        for delivery in batch.deliveries:
            try:
                path = opened.enter_context(archive.opened(delivery.file.key))
                files[delivery.id] = outgoing(path)
            except NodeError as error:
                outcomes.append(Undelivered(delivery.id, error))
        for delivery_id, result in zip(files, store(tuple(files.values()), target), strict=True):
            if isinstance(result, str):
                outcomes.append(Acknowledgement(delivery_id, result))
            else:
                outcomes.append(Undelivered(delivery_id, result))
    return tuple(outcomes)


def store(files: Sequence[Outgoing], target: Target) -> Iterator[Result]:
    """Send files over as few associations as possible; yield a result for each, in order.

    Only contexts for what is there are proposed, each file's own syntax first. An
    object during which the peer aborts waits for the next attempt and the others go
    on over a new association, so that it cannot hold them up. After silence, or
    without association, the rest is left for the next attempt.
    """
    for group in _groups(files):
        waiting = deque(group)
        while waiting:
            try:
                with open_association(target, _contexts(waiting)) as line:
                    yield from _store_over(line, waiting, target)
            except _Broken as error:
                waiting.popleft()
                yield error
            except NothingAccepted:
                yield from (_not_accepted(file) for file in waiting)
                waiting.clear()
            except NodeError as error:
                yield from repeat(error, len(waiting))
                waiting.clear()


def _groups(files: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    group: list[Outgoing] = []
    for file in files:
        if len(_offers([*group, file])) > MOST_CONTEXTS:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _offers(files: Iterable[Outgoing]) -> list[Offer]:
    kinds = dict.fromkeys((file.sop_class_uid, file.syntax_uid) for file in files)
    return list(
        dict.fromkeys(
            (sop_class_uid, syntax_uid)
            for sop_class_uid, own in kinds
            for syntax_uid in proposed(own)
        )
    )


def proposed(syntax_uid: str) -> tuple[str, ...]:
    """List the transfer syntaxes in which an object is offered, its own first."""
    natives = NATIVE if syntax_uid in CONVERTIBLE else ()
    return tuple(dict.fromkeys((syntax_uid, *(str(native) for native in natives))))


def _contexts(files: Iterable[Outgoing]) -> list[PresentationContext]:
    # one syntax in each, so that the peer's choice never costs us the file's own
    return [build_context(*offer) for offer in _offers(files)]


def _store_over(
    line: OutgoingAssociation, waiting: deque[Outgoing], target: Target
) -> Iterator[Result]:
    for message_id in range(1, len(waiting) + 1):
        result = _store_one(line, waiting[0], target, message_id)
        waiting.popleft()
        yield result
        if not line.assoc.is_established:
            return


def _store_one(
    line: OutgoingAssociation, file: Outgoing, target: Target, message_id: int
) -> Result:
    """Send one object; raises _Broken or TryAgain when the association is lost."""
    taken = _taken(line)
    as_it_is = (file.sop_class_uid, file.syntax_uid) in taken
    if not as_it_is and not taken.intersection(_offers([file])):
        return _not_accepted(file)
    limit_s = target.timeouts.dimse_s + file.size / SLOWEST_PEER
    line.assoc.dimse_timeout = limit_s
    line.watchdog.allow(limit_s)
    started = time.monotonic()
    try:
        # a path goes out byte for byte, a data set in the syntax that the peer takes
        whole = file.path if as_it_is and not _lacks_padding(file) else dcmread(file.path)
        answer = line.assoc.send_c_store(whole, message_id)
    except RuntimeError as error:
        raise _Broken("the peer ended the association") from error
    except OSError as error:  # the file's, as sockets are served by another thread
        raise _Broken(f"cannot read the file: {error.strerror}") from error
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways, and alone
        line.assoc.abort()
        return GiveUp(f"the object cannot be encoded ({type(error).__name__})")
    if "Status" not in answer:
        if time.monotonic() - started >= limit_s:
            raise TryAgain(f"no answer to C-STORE within {limit_s:.0f} s")
        raise _Broken("the peer ended the association during a C-STORE")
    if line.answered[-1:] != [message_id]:
        raise _Broken("the peer answered another message than the one sent")
    try:
        return judge_store(answer.Status, str(answer.get("ErrorComment", "")))
    except NodeError as error:
        return error


def _lacks_padding(file: Outgoing) -> bool:
    # PS3.5 A.5: a deflated stream is padded to even length; DCMTK aborts otherwise. The
    # file meta information before it is always even
    return file.syntax_uid == DeflatedExplicitVRLittleEndian and file.size % 2 == 1


def _taken(line: OutgoingAssociation) -> set[Offer]:
    return {
        (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in line.assoc.accepted_contexts
    }


def _not_accepted(file: Outgoing) -> NotTaken:
    return NotTaken(
        f"the peer does not accept {UID(file.sop_class_uid).name} "
        f"as {UID(file.syntax_uid).name} (no presentation context)"
    )
