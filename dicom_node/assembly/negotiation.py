"""Which object each destination gets: asked once, remembered, asked again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import structlog
from pydicom.uid import UID
from sqlalchemy import Engine

from dicom_node.assembly import destinations
from dicom_node.assembly.parts import Parts
from dicom_node.domain.errors import NodeError
from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.exchange.substitution import (
    SOP_CLASSES,
    SR_SOP_CLASSES,
    Capabilities,
    choose,
    form_of,
)
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Peer
from dicom_node.domain.work import Delivery
from dicom_node.network.dimse import scu
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.rows import key
from dicom_node.storage.queue.capabilities import refusals, refused_by, remember

log = structlog.get_logger()

CLASSES = (*SR_SOP_CLASSES.values(), *SOP_CLASSES.values())


def capabilities(settings: Settings, engine: Engine, now: float) -> dict[str, Capabilities]:
    """Tell what every peer and DICOMweb server takes, by its name."""
    refused = refusals(engine, now)
    ways: tuple[tuple[Literal["dicom", "stow"], Sequence[Peer | StowDestination]], ...] = (
        ("dicom", settings.peers),
        ("stow", settings.stow),
    )
    return {
        destination.name: Capabilities(
            protocol,
            destination.sr_class,
            refused.get(key(destination.name), frozenset()),
            destination.reject_replaced,
        )
        for protocol, all_of_it in ways
        for destination in all_of_it
    }


def refusal_learner(parts: Parts) -> Callable[[Delivery], bool]:
    """Make what learns from a refused delivery and says whether a plainer object may do."""
    engine, peers = parts.engine, {peer.name: peer for peer in parts.settings.peers}

    def learn(delivery: Delivery) -> bool:
        if delivery.kind == "oru" or delivery.kind == "fhir" or delivery.kind == "rejection":
            return False  # nothing plainer says the same
        # of a batch's refused objects the first has the peer asked about all
        known = refused_by(engine, delivery.destination, parts.clock())
        if delivery.destination in peers and delivery.sop_class_uid not in known:
            ask(parts, peers[delivery.destination])
        remember(engine, delivery.destination, {delivery.sop_class_uid: ()}, parts.clock())
        refused = refused_by(engine, delivery.destination, parts.clock())
        delivered = form_of(delivery.kind, delivery.sop_class_uid)
        below = choose(delivery.kind, delivered.sr_class, lambda r: r.sop_class_uid in refused)
        return below != delivered

    return learn


def ask(parts: Parts, peer: Peer) -> dict[str, list[str]]:
    """Ask a peer as `taken_by` does, and remember what it answered.

    What was known of a peer that cannot be asked stays.
    """
    taken = taken_by(parts.settings, peer)
    if taken:
        remember(parts.engine, peer.name, taken, parts.clock())
        log.info("peer_asked", peer=peer.name, accepts=sum(map(bool, taken.values())))
    return taken


def taken_by(settings: Settings, peer: Peer) -> dict[str, list[str]]:
    """Ask a peer which of our objects it takes in which syntax.

    Transfer syntaxes by SOP class; empty when the peer cannot be asked.
    """
    target = destinations.target(settings, peer.name)
    offers = [(kind, str(syntax)) for kind in CLASSES for syntax in scu.NATIVE]
    try:
        answers = scu.accepted(target, offers)
    except NodeError as error:
        log.warning("peer_not_asked", peer=peer.name, reason=str(error))
        return {}
    taken: dict[str, list[str]] = {kind: [] for kind in CLASSES}
    for (kind, syntax), answer in zip(offers, answers, strict=True):
        taken[kind] += [syntax] if answer else []
    return taken


def ask_all(parts: Parts) -> None:
    """Ask every peer that a route sends to."""
    named = {name for route in parts.settings.routes for name in route.send_to}
    for peer in parts.settings.peers:
        if peer.name in named:
            ask(parts, peer)


def acceptance_checks(
    settings: Settings, peer: Peer, taken: Mapping[str, Sequence[str]]
) -> Iterator[Check]:
    """Say for each kind that routes send a peer what it will get of what it takes.

    A kind that the peer takes in no form is a failed check, and so is silence.
    """
    if not taken:
        yield Check(f"{peer.name} accepts", False, "cannot be asked now; the log says why")
        return
    kinds = {k: None for r in settings.routes if peer.name in r.send_to for k in r.outputs}
    for kind in kinds:
        wanted = choose(kind, peer.sr_class, lambda _: False)
        form = choose(kind, peer.sr_class, lambda form: not taken.get(form.sop_class_uid))
        syntaxes = ", ".join(UID(syntax).name for syntax in taken.get(form.sop_class_uid, ()))
        words = f"accepts {UID(wanted.sop_class_uid).name} ({syntaxes})"
        if not syntaxes:
            words = f"accepts neither {UID(wanted.sop_class_uid).name} nor what could replace it"
        elif form != wanted:
            words = (
                f"does not accept {UID(wanted.sop_class_uid).name}: "
                f"gets {form} ({syntaxes}) instead"
            )
        yield Check(f"{peer.name} {kind}", bool(syntaxes), words)
