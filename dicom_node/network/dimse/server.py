"""The socket that associations come from, and who gets a place."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dicom_node.network.dimse.acceptor import AcceptedAssociation, Terms
from dicom_node.network.dimse.upper_layer.negotiation import LOCAL_LIMIT_EXCEEDED
from dicom_node.network.dimse.upper_layer.pdu import encode_reject
from dicom_node.network.hosts import canonical, neighbourhood

BACKLOG = 128
"""Connections that wait to be taken."""
EXHAUSTED_S = 0.1
"""Before the next try when the system gives no more handles or threads."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections are open at once; each has a thread."""

    connections: int
    """Half-open ones and those that end count too."""
    of_one_host: int
    """Of these, from one IPv4 address or one IPv6 network of 64 bits."""
    of_unknown: int
    """Of these, from addresses that no configured peer has."""
    all_bytes: int = 1 << 40
    """What all associations together hold of data sets; beyond it a new one is refused."""


class NoPlace(Exception):
    """Nobody is let in now from there; says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """What one connection takes up."""

    group: str
    known: bool


class Places:
    """Counts who is here; addresses of configured peers find a place when others do not."""

    def __init__(self, bounds: Bounds, is_known: Callable[[str], bool]) -> None:
        self._bounds, self._is_known = bounds, is_known
        self._lock = threading.Lock()
        self._taken: Counter[Place] = Counter()

    def take(self, host: str) -> Place:
        """Take a place; raises NoPlace."""
        place = Place(neighbourhood(host), self._is_known(host))
        with self._lock:
            if self._taken.total() >= self._bounds.connections:
                raise NoPlace("all places are taken")
            if self._count(lambda taken: taken.group == place.group) >= self._bounds.of_one_host:
                raise NoPlace("too many connections are open from there")
            if not place.known and self._count(_is_unknown) >= self._bounds.of_unknown:
                raise NoPlace("the places for addresses of no configured peer are taken")
            self._taken[place] += 1
        return place

    def leave(self, place: Place) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[place] -= 1
            self._taken = +self._taken

    def _count(self, counts: Callable[[Place], bool]) -> int:
        return sum(number for place, number in self._taken.items() if counts(place))

    @property
    def is_full(self) -> bool:
        """Whether also a configured peer is turned away."""
        with self._lock:
            return self._taken.total() >= self._bounds.connections


def _is_unknown(place: Place) -> bool:
    return not place.known


class AcceptingServer:
    """Listens; one association per connection, up to the bounds."""

    def __init__(
        self,
        address: tuple[str, int],
        bounds: Bounds,
        is_known: Callable[[str], bool],
        terms: Callable[[Callable[[], bool]], Terms],
    ) -> None:
        """Take the address; raises OSError. `terms` are made with what says it is crowded."""
        host = address[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        dual = host == "::" and socket.has_dualstack_ipv6()
        self._socket = socket.create_server(
            address, family=family, backlog=BACKLOG, dualstack_ipv6=dual
        )
        self.server_address: tuple[str, int] = self._socket.getsockname()[:2]
        self.places = Places(bounds, is_known)
        self._bounds = bounds
        self._terms = terms(self.is_crowded)
        self._lock = threading.Lock()
        self._started: set[AcceptedAssociation] = set()
        self._closed = False

    @property
    def connections(self) -> list[AcceptedAssociation]:
        """The associations whose threads run, half-open and ending ones too."""
        with self._lock:
            return list(self._started)

    def is_crowded(self) -> bool:
        """Say whether all associations together hold more than they may."""
        return sum(connection.held for connection in self.connections) > self._bounds.all_bytes

    def serve_forever(self) -> None:
        """Take connections until `shutdown`."""
        while not self._closed:
            try:
                connection, address = self._socket.accept()
            except OSError as error:
                if not self._closed:
                    self._terms.log.warning("accept_failed", host="", reason=str(error))
                    time.sleep(EXHAUSTED_S)
                continue
            self._begin(connection, canonical(address[0]))

    def shutdown(self) -> None:
        """Stop listening; what is open stays open."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._socket.close()

    def _begin(self, connection: socket.socket, host: str) -> None:
        try:
            place = self.places.take(host)
        except NoPlace as error:
            self._turn_away(connection, host, str(error))
            return
        assoc = AcceptedAssociation(connection, host, self._terms, partial(self._over, place))
        with self._lock:
            self._started.add(assoc)
        try:
            assoc.start()
        except RuntimeError as error:  # no more threads
            self._over(place, assoc)
            self._turn_away(connection, host, str(error))

    def _over(self, place: Place, assoc: AcceptedAssociation) -> None:
        with self._lock:
            self._started.discard(assoc)
        self.places.leave(place)

    def _turn_away(self, connection: socket.socket, host: str, reason: str) -> None:
        """Say that it is our limit, without a thread: the peer may or may not read it."""
        self._terms.log.warning("connection_refused", host=host, reason=reason)
        full = LOCAL_LIMIT_EXCEEDED
        with contextlib.suppress(OSError):
            if self._terms.secure is None:
                connection.setblocking(False)
                connection.send(encode_reject(full.result, full.source, full.reason))
        connection.close()
