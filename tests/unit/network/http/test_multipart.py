"""Cutting bodies into parts, however they arrive."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.network.http.multipart import Malformed, Part, TooLarge, media_type, parts

B = b"\r\n--BB"


def reader(body: bytes, step: int) -> Callable[[int], bytes]:
    """Give a body in pieces of `step` bytes."""
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    return lambda size: pieces.pop(0) if pieces else b""


def cut(body: bytes, step: int = 1 << 20, largest: int = 1 << 20) -> list[Part]:
    return list(parts(reader(body, step), "BB", largest))


@given(
    contents=st.lists(
        st.lists(st.sampled_from([B, b"--", b"\r\n", b"\r", b"-", b"x", b" ", b"B"])), max_size=4
    ),
    step=st.integers(1, 9),
)
def test_any_content_comes_back(contents: list[list[bytes]], step: int) -> None:
    # a letter after each delimiter-like run keeps it from being one
    wanted = [b"".join(one).replace(B, B + b"x") + b"." for one in contents]
    body = b"".join(b"--BB\r\nA: b\r\n\r\n" + one + b"\r\n" for one in wanted) + b"--BB--"
    assert [part.content for part in cut(body, step)] == wanted


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_body_as_the_standard_shows_it(step: int) -> None:
    body = (
        b"preamble\r\n--BB  \r\ncontent-TYPE: application/dicom;\r\n transfer-syntax=1\r\n\r\none"
        b"\r\n--BB\r\n\r\n\r\n--BB\r\nX: y\r\n\r\n" + b"\0" * 5000 + b"\r\n--BB--\r\nepilogue"
    )
    assert cut(body, step) == [
        Part("application/dicom", b"one"),
        Part("", b""),
        Part("", b"\0" * 5000),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no delimiter",
        b"--BB",
        b"--BB\r\n",
        b"--BB\r\nA: b\r\n",
        b"--BB\r\nA: b\r\n\r\ncontent",
        b"--BB\r\nA: b\r\n\r\ncontent\r\n--BB",
        b"--BB\r\nno header\r\n\r\ncontent\r\n--BB--",
        b"--BB\r\n" + b"A: b\r\n" * 200_000,
    ],
)
def test_malformed_bodies(body: bytes) -> None:
    with pytest.raises(Malformed):
        cut(body)


def test_a_part_may_be_as_large_as_the_limit() -> None:
    assert cut(b"--BB\r\n\r\n" + b"x" * 100 + B + b"--", largest=100) == [Part("", b"x" * 100)]
    for step in (7, 1000):
        with pytest.raises(TooLarge):
            cut(b"--BB\r\n\r\n" + b"x" * 101 + B + b"--", step, largest=100)


def test_a_part_without_end_is_left_early() -> None:
    taken = 0

    def endless(size: int) -> bytes:
        nonlocal taken
        taken += size
        return b"x" * size if taken > size else b"--BB\r\n\r\n"

    with pytest.raises(TooLarge):
        list(parts(endless, "BB", 1 << 20))
    assert taken < 3 << 20


@pytest.mark.parametrize("boundary", ["", "x" * 201, "gr\xfcn"])
def test_boundaries_that_cannot_be(boundary: str) -> None:
    with pytest.raises(Malformed):
        list(parts(reader(b"--\r\n\r\n--", 9), boundary, 10))


@pytest.mark.parametrize(
    ("header", "kind", "more"),
    [
        ("", "", {}),
        ("Multipart/Related;TYPE=Application/dicom; boundary=a-b", "multipart/related", "a-b"),
        ('multipart/related; boundary="a b"; type="application/dicom"', "multipart/related", "a b"),
        ("\r\n;;==", "", {}),
    ],
)
def test_media_types(header: str, kind: str, more: str | dict[str, str]) -> None:
    found, parameters = media_type(header)
    assert found == kind
    if isinstance(more, str):
        assert parameters["boundary"] == more
        assert parameters["type"].lower() == "application/dicom"
