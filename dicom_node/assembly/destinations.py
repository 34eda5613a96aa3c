"""Senders of every destination, with TLS where configured."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dicom_node.domain.study import HL7Destination, Peer
from dicom_node.flow.deliver import Sender
from dicom_node.network.tls import contexts as tls
from dicom_node.network.tls.sockets import Context, Secure
from dicom_node.settings.settings import Settings

if TYPE_CHECKING:
    from dicom_node.network.dimse.association import Target


def outgoing(settings: Settings, to: Peer | HL7Destination) -> Callable[[], Context] | None:
    """Give what makes connections to a destination secure; None where TLS is not asked for."""
    if not to.tls:
        return None
    make = partial(tls.client_context, pin=to.tls_fingerprint)
    return tls.Following(settings.tls.files, make)


def secured_entry(settings: Settings) -> Secure:
    """Make what shakes hands with callers; raises BadSettings when it cannot."""
    mutual = settings.tls.mode == "mutual"
    contexts = tls.Following(settings.tls.files, partial(tls.server_context, mutual=mutual))
    contexts()
    return partial(tls.accept, contexts=contexts)


def target(settings: Settings, peer_name: str) -> "Target":
    """Give the address and identity for sending to a peer."""
    from dicom_node.network.dimse.association import Target

    peers = {peer.name: peer for peer in settings.peers}
    peer = peers[peer_name]
    return Target(peer, settings.node.ae_title, tls=outgoing(settings, peer))


def senders(settings: Settings) -> dict[str, Sender]:
    """Make a sender for every destination of the configuration."""
    from dicom_node.network.dimse import scu as dimse_scu
    from dicom_node.network.hl7 import mllp

    made: dict[str, Sender] = {
        peer.name: partial(dimse_scu.send, target=target(settings, peer.name))
        for peer in settings.peers
        if peer.host and peer.port
    }
    if settings.stow:
        from dicom_node.network.dicomweb import scu

        made |= {server.name: partial(scu.send, to=server) for server in settings.stow}
    if settings.fhir:
        from dicom_node.network import fhir

        made |= {server.name: partial(fhir.send, to=server) for server in settings.fhir}
    return made | {
        receiver.name: partial(mllp.send, receiver=receiver, tls=outgoing(settings, receiver))
        for receiver in settings.hl7
    }
