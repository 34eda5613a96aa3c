"""Storage commitment between the configuration's peers and the database."""

from collections.abc import Callable, Iterator
from functools import partial

from dicom_node.assembly.destinations import target
from dicom_node.assembly.parts import Parts
from dicom_node.domain.errors import NodeError
from dicom_node.domain.exchange.commitment import PUSH_MODEL
from dicom_node.domain.pipeline import Check
from dicom_node.domain.reception import Caller
from dicom_node.domain.study import Peer
from dicom_node.flow.commit import request_commitments, take_report
from dicom_node.network.dimse import commitment_scu, scu
from dicom_node.network.dimse.commitment import SYNTAXES, ReportHandler
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.commitments import SqlCommitments

ASK_EVERY_S = 5
TIDY_EVERY_S = 3600
DAY_S = 86_400.0


def commit_jobs(parts: Parts) -> tuple[tuple[int, Callable[[], None]], ...]:
    """List what is to be done, with how often in seconds."""
    asking = (
        (ASK_EVERY_S, partial(ask_peer, parts, peer))
        for peer in parts.settings.peers
        if peer.storage_commitment
    )
    return (*asking, (TIDY_EVERY_S, partial(_tidy, parts)))


def ask_peer(parts: Parts, peer: Peer) -> None:
    """Ask a peer about what is due, in one request."""
    ask = partial(
        commitment_scu.ask,
        target=target(parts.settings, peer.name),
        record_report=_report_handler(parts, (peer.name,)),
    )
    book = SqlCommitments(parts.engine)
    request_commitments(book, ask, peer.name, peer.commit_timeout_s, parts.clock)


def probe(settings: Settings, peer: Peer) -> Iterator[Check]:
    """Say whether a peer that is to commit offers to; nothing for others."""
    if not peer.storage_commitment:
        return
    name = f"{peer.name} commits"
    offers = [(PUSH_MODEL, str(syntax)) for syntax in SYNTAXES]
    try:
        offered = any(scu.accepted(target(settings, peer.name), offers))
    except NodeError as error:
        yield Check(name, False, str(error))
        return
    words = "offers storage commitment" if offered else commitment_scu.NOT_OFFERED
    yield Check(name, offered, words)


def reports(parts: Parts, caller: Caller) -> ReportHandler | None:
    """Give what takes a caller's reports; None for who is asked for none."""
    names = tuple(
        peer.name
        for peer in parts.settings.peers
        if peer.storage_commitment and peer.ae_title == caller.calling_ae
    )
    return _report_handler(parts, names) if names else None


def _report_handler(parts: Parts, names: tuple[str, ...]) -> ReportHandler:
    book = SqlCommitments(parts.engine)
    return lambda report: take_report(book, report, names, parts.clock())


def _tidy(parts: Parts) -> None:
    committing = [peer.name for peer in parts.settings.peers if peer.storage_commitment]
    before = parts.clock() - parts.settings.retention.log_days * DAY_S
    SqlCommitments(parts.engine).tidy(committing, before)
