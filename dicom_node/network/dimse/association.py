"""One outgoing association, with a deadline on each step."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.answers import explain_rejection
from dicom_node.network.dimse.options import MAX_PDU, SOCKET_HANDLERS, Timeouts
from dicom_node.network.dimse.peer_answer import guard_answer
from dicom_node.network.tls.contexts import Securing, usable
from dicom_node.network.tls.sockets import Context, SecureSocket, in_words

GRACE_S = 2.0
"""pynetdicom's own time-outs come first and end an association in order."""


@dataclass(frozen=True, slots=True)
class Target:
    """A peer, who we are to it, and how long to wait."""

    peer: Peer
    our_ae: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Callable[[], Context] | None = None
    """Gives the context for one connection; None: without TLS."""

    @property
    def where(self) -> str:
        """The address for people."""
        return f"{self.peer.host}:{self.peer.port}"


class NothingAccepted(GiveUp):
    """The peer accepted the association and none of its contexts."""


class Watchdog:
    """Cuts a connection when a step takes too long, and closes it at the end.

    pynetdicom waits for ever for a peer that stops in the middle of a PDU or stops
    reading; a socket shut down from here wakes its threads. It also leaves sockets
    open that the peer closed first.
    """

    def __init__(self) -> None:
        self._assoc: Association | None = None
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.connected = False
        """Whether there ever was a connection."""

    def watch(self, event: Event) -> None:
        """Take the socket, and guard it, before it connects (EVT_ACSE_SENT of the request)."""
        if self._assoc is None and event.assoc.dul.socket is not None:
            self._assoc, self._socket = event.assoc, event.assoc.dul.socket.socket
            guard_answer(event.assoc.dul.socket)

    def hold(self, secured: SecureSocket) -> None:
        """Take the TLS socket that replaces the first one."""
        self._socket = secured

    @property
    def refusal(self) -> OSError | None:
        """What TLS failed by, if it did."""
        return self._socket.refusal if isinstance(self._socket, SecureSocket) else None

    def opened(self, event: Event) -> None:
        """Note that the connection stands (EVT_CONN_OPEN)."""
        self.connected = True

    def allow(self, seconds: float) -> None:
        """Start the next step, which may take so long and the grace."""
        self._cancel()
        self._timer = threading.Timer(seconds + GRACE_S, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def rest(self) -> None:
        """End the step; until the next one the association may stand idle."""
        self._cancel()

    def stop(self) -> None:
        """Leave no socket and no thread behind."""
        self._cancel()
        self._cut()
        if self._assoc is not None and self._socket is not None:
            if self._assoc.dul.is_alive():
                self._assoc.dul.join(GRACE_S)
            self._socket.close()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # drop what the peer does not read, or the kernel keeps offering it for minutes
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class OutgoingAssociation:
    """An open association and what keeps it honest."""

    assoc: Association
    watchdog: Watchdog
    answered: list[int]
    """Message ids that the peer has answered, the latest at the end."""


@contextmanager
def open_association(
    target: Target,
    contexts: list[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[OutgoingAssociation]:
    """Open an association; release it after the block, abort it when the block fails.

    `roles` says for which SOP classes the peer may call us (PS3.7 D.3.3.4).

    Raises GiveUp for a peer without address, TryAgain when there is no association,
    NothingAccepted when it would be useless.
    """
    if not target.peer.host or not target.peer.port:
        raise GiveUp(f"peer {target.peer.name!r} has no host and port in the configuration")
    watchdog = Watchdog()
    answered: list[int] = []
    handlers: list[EventHandlerType] = [
        *SOCKET_HANDLERS,
        (evt.EVT_ACSE_SENT, watchdog.watch),
        (evt.EVT_CONN_OPEN, watchdog.opened),
        (evt.EVT_DIMSE_RECV, _note_answer, [answered]),
    ]
    watchdog.allow(target.timeouts.connect_s + target.timeouts.acse_s)
    try:
        secured = None if target.tls is None else Securing(usable(target.tls), watchdog.hold)
        assoc = _associate(target, contexts, roles, handlers, secured)
        if not assoc.is_established:
            if watchdog.refusal is not None:
                raise TryAgain(f"no TLS with {target.where}: {in_words(watchdog.refusal)}")
            raise _no_association(assoc, target, connected=watchdog.connected)
        guard_answers(assoc)
        try:
            yield OutgoingAssociation(assoc, watchdog, answered)
        except BaseException:
            watchdog.allow(0)
            assoc.abort()
            raise
        watchdog.allow(target.timeouts.acse_s)
        assoc.release()
    finally:
        watchdog.stop()


def _associate(
    target: Target,
    contexts: list[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
    handlers: list[EventHandlerType],
    secured: Securing | None,
) -> Association:
    peer, limits = target.peer, target.timeouts
    ae = AE(target.our_ae)
    ae.connection_timeout, ae.acse_timeout = limits.connect_s, limits.acse_s
    # the watchdog limits every step, so an idle timer could only end a slow transfer
    ae.dimse_timeout, ae.network_timeout = limits.dimse_s, None
    try:
        return ae.associate(
            peer.host,
            peer.port,
            contexts,
            ae_title=peer.ae_title,
            max_pdu=MAX_PDU,
            ext_neg=list(roles),
            # all that pynetdicom asks of the context is `wrap_socket`
            tls_args=None if secured is None else (cast(ssl.SSLContext, secured), peer.host),
            evt_handlers=handlers,
        )
    except OSError as error:  # the name does not resolve
        raise TryAgain(f"cannot connect to {target.where}: {error}") from error


def _note_answer(event: Event, answered: list[int]) -> None:
    answered.append(event.message.command_set.get("MessageIDBeingRespondedTo", 0))


def _no_association(assoc: Association, target: Target, *, connected: bool) -> NodeError:
    if not connected:
        return TryAgain(f"cannot connect to {target.where}: {_why_unreachable(target.peer)}")
    answer = assoc.acceptor.primitive
    if assoc.is_rejected and answer is not None:
        return explain_rejection(
            answer.result or 0, answer.result_source or 0, answer.diagnostic or 0
        )
    if assoc.rejected_contexts:
        return NothingAccepted("the peer accepts none of the presentation contexts")
    return TryAgain(
        f"{target.where} took the connection and not the association "
        f"(aborted, or silent for {target.timeouts.acse_s:g} s)"
    )


def _why_unreachable(peer: Peer) -> str:
    # pynetdicom keeps the reason to itself, so ask once more
    try:
        socket.create_connection((peer.host, peer.port), 1).close()
    except OSError as error:
        return error.strerror or str(error)
    return "the connection failed, and works again now"


THREAD_GONE_S = 0.1
"""How often to look whether the thread has ended instead of stopping."""


class Checkpoint(threading.Event):
    """An event whose `clear` comes back only when the thread waits for `set`."""

    def __init__(self, reactor: threading.Thread) -> None:
        super().__init__()
        self._reactor = reactor
        self._changed = threading.Condition()
        self._open = True
        self._stopped = False

    def is_set(self) -> bool:
        """Whether the thread may go on."""
        return self._open

    def set(self) -> None:
        """Let the thread go on."""
        with self._changed:
            self._open, self._stopped = True, False
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the thread and wait until it stands, has ended, or is let go again."""
        with self._changed:
            self._open = False
            while not (self._open or self._stopped) and self._others_run():
                self._changed.wait(THREAD_GONE_S)

    def wait(self, timeout: float | None = None) -> bool:
        """Stand still while it is closed; called by the thread."""
        with self._changed:
            while not self._open:
                self._stopped = True
                self._changed.notify_all()
                if not self._changed.wait(timeout):
                    break
            return self._open

    def _others_run(self) -> bool:
        return self._reactor.is_alive() and self._reactor is not threading.current_thread()


def guard_answers(assoc: Association) -> None:
    """Give an association that we opened a checkpoint that holds."""
    assoc._reactor_checkpoint = Checkpoint(assoc)
