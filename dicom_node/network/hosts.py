"""Host names of peers to addresses."""

import socket
import threading
import time
from collections.abc import Callable, Collection
from ipaddress import IPv6Address, IPv6Network, ip_address


def canonical(address: str) -> str:
    """Write an address in one way; an IPv4 one mapped into IPv6 as IPv4."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def neighbourhood(address: str) -> str:
    """Give what counts as one host: an IPv4 address, or an IPv6 network of 64 bits.

    Whoever has one IPv6 address commonly has the other 2^64 of its network too.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address


class HostBook:
    """Resolves names, and keeps the answers for a while.

    While the name server is away, the last answer holds: no image is refused for it.
    """

    def __init__(self, keep_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def addresses_of(self, host: str) -> frozenset[str]:
        """Give all addresses of a name or address; none when it is not known."""
        asked_at, addresses = self._known.get(host, (float("-inf"), frozenset()))
        if self._clock() - asked_at < self._keep_s:
            return addresses
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = frozenset(canonical(str(entry[4][0])) for entry in found)
        except (OSError, UnicodeError):
            if not addresses:
                return addresses  # ask again next time
        with self._lock:
            self._known[host] = (self._clock(), addresses)
        return addresses


class KnownAddresses:
    """Says whether an address is known, without ever waiting for an answer.

    What is known is looked up on a thread of its own, when it was long ago.
    """

    def __init__(
        self,
        look_up: Callable[[], Collection[str]],
        at_once: Collection[str] = (),
        keep_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_once` is known before `look_up` gives its first answer."""
        self._look_up, self._clock, self._keep_s = look_up, clock, keep_s
        self._known = frozenset(map(canonical, at_once))
        self._lock = threading.Lock()
        self._asked_at = float("-inf")

    def __call__(self, address: str) -> bool:
        """Say whether it is known."""
        with self._lock:
            is_old = self._clock() - self._asked_at >= self._keep_s
            if is_old:
                self._asked_at = self._clock()
        if is_old:
            threading.Thread(target=self._refresh, name="addresses", daemon=True).start()
        return address in self._known

    def _refresh(self) -> None:
        self._known = frozenset(map(canonical, self._look_up()))
