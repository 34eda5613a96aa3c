"""Names of peers, resolved and kept."""

import socket

import pytest

from dicom_node.network.hosts import HostBook, canonical


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
