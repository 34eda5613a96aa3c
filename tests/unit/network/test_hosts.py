"""Names of peers, resolved and kept."""

import socket
import threading

import pytest

from dicom_node.network.hosts import HostBook, KnownAddresses, canonical, neighbourhood
from tests.support.listeners import until


@pytest.mark.parametrize(
    ("address", "one_way"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("fe80::1%eth0", "fe80::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("no address", "no address"),
    ],
)
def test_addresses_are_written_in_one_way(address: str, one_way: str) -> None:
    assert canonical(address) == one_way


def test_names_and_addresses_resolve() -> None:
    book = HostBook()
    assert "127.0.0.1" in book.addresses_of("localhost")
    assert book.addresses_of("10.1.2.3") == {"10.1.2.3"}
    assert book.addresses_of("no-such-host.invalid") == frozenset()
    assert book.addresses_of("a" * 300) == frozenset()


def test_the_last_answer_holds_while_names_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    answers = ["10.0.0.1", "10.0.0.2", None, "10.0.0.3"]
    asked = []

    def resolve(host: str, port: None, type: int) -> list[object]:  # noqa: A002 - its real name
        asked.append(host)
        address = answers[len(asked) - 1]
        if address is None:
            raise socket.gaierror("away")
        return [(socket.AF_INET, type, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    book = HostBook(keep_s=60, clock=lambda: clock[0])
    seen: list[str] = []
    for now in (0, 59, 61, 122, 130, 190):
        clock[0] = now
        seen.append(*book.addresses_of("pacs"))
    assert seen == ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.3"]
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("no address", "no address"),
    ],
)
def test_an_ipv6_network_of_64_bits_counts_as_one_host(address: str, group: str) -> None:
    assert neighbourhood(address) == group


def test_known_addresses_never_wait_for_a_name_server() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def look_up() -> set[str]:
        asked.set()
        assert go_on.wait(20)
        return {"10.0.0.9", "::ffff:10.0.0.8"}

    known = KnownAddresses(look_up, at_once=("10.0.0.1", "pacs.hospital"))
    assert known("10.0.0.1") and not known("10.0.0.9")
    assert asked.wait(20)
    assert not known("10.0.0.9")
    go_on.set()
    until(lambda: known("10.0.0.9"), "the answer")
    assert known("10.0.0.8") and not known("10.0.0.1")
