"""The audit trail of the configuration, and what the parts of the node tell it."""

import hashlib
import json
import os
import pwd
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Engine

from dicom_node.audit import events, rows
from dicom_node.audit.events import Auditor, Code, Endpoint, TransferredInstances, discard_event
from dicom_node.audit.gathering import AlertThrottle, Transfers
from dicom_node.audit.rows import Erasure
from dicom_node.audit.trail import Place, Trail
from dicom_node.domain.errors import NodeError, TryAgain
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.reception import Caller
from dicom_node.domain.work import (
    Acknowledgement,
    Arrival,
    Delivery,
    DeliveryBatch,
    Recorded,
    Undelivered,
)
from dicom_node.flow.deliver import Sender
from dicom_node.network.syslog import Server
from dicom_node.network.tls.contexts import Following, client_context
from dicom_node.network.tls.sockets import Secure
from dicom_node.settings.settings import Settings

log = structlog.get_logger()

SECURITY_SECTIONS = ("peers", "receive", "tls", "audit", "orders", "dicomweb", "console")
"""Sections whose change is a change of the security configuration."""
PASSWORD = re.compile(r"(//[^:/@]*):[^@]*@")
"""Of a database's URL: from a digest it could be guessed."""
DICOM = ("dicom", "stow")
"""Protocols that transfer instances; the others carry messages about them."""


NOWHERE = Endpoint("")


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Audit:
    """What one process tells the trail; nothing where none is kept."""

    here: Endpoint = NOWHERE
    note: Auditor = discard_event
    received: Callable[[Arrival, Recorded], None] = lambda _arrival, _recorded: None
    close: Callable[[], None] = _nothing
    on: bool = False
    throttle: AlertThrottle = field(default_factory=AlertThrottle)

    def refused(self, caller: Caller, reason: str) -> None:
        """Tell of a caller who is not served."""
        self.alert(f"{caller.calling_ae}@{caller.host}", f"caller refused: {reason}")

    def alert(self, subject: str, words: str) -> None:
        """Raise a security alert about somebody who is not let in."""
        if self.on and self.throttle(subject, words):
            kind = events.NODE_AUTHENTICATION
            self.note(events.security_alert(self.here, kind, subject, words, time.time()))

    def credentials(self, caller: Caller, *, right: bool) -> None:
        """Tell of a caller who shows a token."""
        if self.on and self.throttle(caller.calling_ae, caller.host, f"token {right}"):
            party = Endpoint(caller.calling_ae, caller.host)
            self.note(events.user_authentication(self.here, party, time.time(), right=right))

    def asked(self, peer: Endpoint, model: str, request: bytes) -> None:
        """Tell that a peer is asked for studies."""
        self.note(events.query(self.here, peer, model, request, time.time()))

    def pruned(self, images: int, before: float) -> None:
        """Tell that the rows of images are removed; their files were before."""
        days = (time.time() - before) / 86_400
        words = f"rows of {images} images received more than {days:.0f} days ago are removed"
        subject = f"{self.here.name}@{self.here.host}"
        kind, now = events.OBJECT_SECURITY, time.time()
        self.note(events.security_alert(self.here, kind, subject, words, now, outcome="0"))

    def guarded(self, secure: Secure) -> Secure:
        """Tell of callers with whom the TLS handshake fails."""

        def shake(connection: socket.socket) -> socket.socket:
            host = _host_of(connection)  # asked now: the handshake takes the socket over
            try:
                return secure(connection)
            except (OSError, NodeError):
                self.alert(host, "TLS handshake failed")
                raise

        return shake

    def admitting(self, admits: Callable[[str], bool]) -> Callable[[str], bool]:
        """Tell of addresses that are not let in."""

        def check(address: str) -> bool:
            admitted = admits(address)
            if not admitted:
                self.alert(address, "HL7 caller refused")
            return admitted

        return check

    def erased(self, gone: Sequence[Erasure]) -> None:
        """Tell what retention erased."""
        for erasure in gone:
            self.note(
                events.instances_deleted(
                    self.here, erasure.transferred, time.time(), whole=erasure.whole
                )
            )


SILENT = Audit()


def _host_of(connection: socket.socket) -> str:
    try:
        return str(connection.getpeername()[0])
    except OSError:  # gone already
        return events.NOBODY


def open_audit(settings: Settings) -> Audit:
    """Open the trail that the configuration asks for; it begins with the first event."""
    place = place_of(settings)
    here = Endpoint(settings.node.ae_title, socket.gethostname())
    if place is None:
        return Audit(here)
    trail = Trail(place)
    transfers = Transfers(here, trail.note)
    trail.gatherers.append(transfers.gather)
    return Audit(here, trail.note, transfers.received, trail.close, on=True)


def place_of(settings: Settings) -> Place | None:
    """Say where the trail is; None where none is kept. With syslog there is always a log."""
    section = settings.audit
    if not (section.file or section.syslog):
        return None
    file = Path(section.file) if section.file else settings.node.data_dir / "audit.log"
    server = None
    if section.syslog:
        host, port = section.address
        secure = section.transport == "tls"
        contexts = Following(settings.tls.files, client_context) if secure else None
        server = Server(host, port, section.transport, contexts)
    source = f"{settings.node.ae_title}@{socket.gethostname()}"
    return Place(file, source, settings.node.institution, server)


@contextmanager
def audited_role(settings: Settings, role: str) -> Iterator[None]:
    """Tell that a role starts and stops, and before that what changed in the settings."""
    audit = open_audit(settings)
    if not audit.on:
        yield
        return
    with closing(audit):
        _audit_changes(settings, audit)
        audit.note(events.application_activity(audit.here, role, time.time(), started=True))
        try:
            yield
        finally:
            audit.note(events.application_activity(audit.here, role, time.time(), started=False))


def _audit_changes(settings: Settings, audit: Audit) -> None:
    """Compare with the settings of the last start, section by section."""
    place = place_of(settings)
    if place is None:
        return
    kept = place.file.with_name(place.file.name + ".settings")
    now = digests(settings)
    try:
        before = json.loads(kept.read_text())
    except (OSError, ValueError):
        before = {}
    changed = sorted(
        section for section in {*now, *before} if now.get(section) != before.get(section)
    )
    if not changed:
        return
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(now))
    except OSError as error:
        log.error("audit_settings_not_kept", reason=error.strerror)
    secure = any(section in SECURITY_SECTIONS for section in changed)
    kind = events.SECURITY_CONFIGURATION if secure else events.SOFTWARE_CONFIGURATION
    words = "settings changed: " if before else "settings first seen: "
    subject = f"{audit.here.name}@{audit.here.host}"
    whole = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()
    words += f"{', '.join(changed)}; SHA-256 of all {whole}"
    audit.note(events.security_alert(audit.here, kind, subject, words, time.time(), outcome="0"))


def digests(settings: Settings) -> dict[str, str]:
    """Give the SHA-256 of each section of the settings, without the database's password."""
    sections = settings.model_dump(mode="json")
    sections["database"] = PASSWORD.sub(r"\1@", settings.database.url)
    return {
        name: hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()
        for name, section in sections.items()
    }


def audit_senders(
    senders: dict[str, Sender], audit: Audit, settings: Settings, engine: Engine
) -> dict[str, Sender]:
    """Let the senders tell what they send."""
    if not audit.on:
        return senders
    ends = endpoints(settings)
    return {
        name: partial(_send_audited, sender, audit, ends.get(name, Endpoint(name)), engine)
        for name, sender in senders.items()
    }


def _send_audited(
    sender: Sender,
    audit: Audit,
    to: Endpoint,
    engine: Engine,
    batch: DeliveryBatch,
    archive: Archive,
) -> tuple[Acknowledgement | Undelivered, ...]:
    study_uid = batch.deliveries[0].study_uid
    patient_id = _patient(engine, study_uid)
    transfers = batch.protocol in DICOM
    if transfers and any(delivery.attempt == 1 for delivery in batch.deliveries):
        audit.note(
            events.begin_transferring(
                audit.here, to, TransferredInstances(study_uid, patient_id), time.time()
            )
        )
    try:
        outcomes = sender(batch, archive)
    except Exception as error:  # noqa: BLE001 - audit, then handled as the outbox does
        outcomes = tuple(Undelivered(delivery.id, error) for delivery in batch.deliveries)
    for there, ids in ((True, _arrived_ids(outcomes)), (False, _given_up_ids(outcomes))):
        sent = [delivery for delivery in batch.deliveries if delivery.id in ids]
        if not sent:
            continue
        transfer = TransferredInstances(study_uid, patient_id, _contents(sent))
        if transfers:
            ended: events.Outcome = "0" if there else "8"
            audit.note(
                events.instances_transferred(audit.here, to, transfer, time.time(), "C", ended)
            )
        elif there:
            audit.note(events.data_export(audit.here, to, transfer, time.time()))
    return outcomes


def _arrived_ids(outcomes: Sequence[Acknowledgement | Undelivered]) -> set[int]:
    return {outcome.delivery_id for outcome in outcomes if isinstance(outcome, Acknowledgement)}


def _given_up_ids(outcomes: Sequence[Acknowledgement | Undelivered]) -> set[int]:
    """Give those that are not tried again: each try of a PACS that is away is no event."""
    return {
        outcome.delivery_id
        for outcome in outcomes
        if isinstance(outcome, Undelivered) and not isinstance(outcome.error, TryAgain | OSError)
    }


def _contents(sent: Sequence[Delivery]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return events.sorted_by_class(
        (item.sop_class_uid, item.sop_instance_uid) for item in sent if item.sop_class_uid
    )


def _patient(engine: Engine, study_uid: str) -> str:
    try:
        return rows.patient_of(engine, study_uid)
    except NodeError:
        return ""


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """Name every destination as the trail does."""
    named = {peer.name: Endpoint(peer.ae_title, peer.host) for peer in settings.peers}
    named |= {receiver.name: Endpoint(receiver.name, receiver.host) for receiver in settings.hl7}
    for server in (*settings.stow, *settings.fhir):
        named[server.name] = Endpoint(server.url, urlsplit(server.url).hostname or "")
    return named


def audit_change(settings: Settings, kind: Code, words: str) -> None:
    """Write who changed what, where a trail is kept; `words` name no patient."""
    with closing(open_audit(settings)) as audit:
        if audit.on:
            audit.note(events.configuration_changed(audit.here, _user(), kind, words, time.time()))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a number may be all there is
        return str(os.getuid())
