"""TLS as the configuration wants it, out and in."""

from collections.abc import Callable
from functools import partial

from dicom_node.domain.study import HL7Destination, Peer
from dicom_node.network.tls import contexts as tls
from dicom_node.network.tls.sockets import Context, Secure
from dicom_node.settings.settings import Settings


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
