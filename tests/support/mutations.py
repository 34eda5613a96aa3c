"""Damaged variants of sound inputs, the same for the same seed."""

import random
import struct
from collections.abc import Sequence

NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
LARGEST = 1 << 18
"""Bytes; larger variants only take longer."""
MOST_CHANGES = 6


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes], choice: random.Random) -> bytes:
    """Give one seed with a few changes at random places."""
    content = bytearray(choice.choice(seeds))
    for _ in range(choice.randint(1, MOST_CHANGES)):
        # headers are where the lies are: half of the changes fall into the first part
        reach = min(len(content), 1024) if choice.random() < 0.5 else len(content)
        _change(content, choice.randint(0, reach), seeds, tokens, choice)
    return bytes(content[:LARGEST])


def _change(
    content: bytearray,
    at: int,
    seeds: Sequence[bytes],
    tokens: Sequence[bytes],
    choice: random.Random,
) -> None:
    kind = choice.randrange(8)
    length = choice.choice((1, 2, 4, 8, 32, choice.randint(0, len(content))))
    if kind == 0:
        content[at : at + 1] = bytes([choice.randrange(256)])
    elif kind == 1 and at < len(content):
        content[at] ^= 1 << choice.randrange(8)
    elif kind == 2:
        number = _number(choice)
        content[at : at + len(number)] = number
    elif kind == 3:
        del content[at : at + length]
    elif kind == 4:
        content[at:at] = content[at : at + length]
    elif kind == 5 and tokens:
        token = choice.choice(tokens)
        content[at : at + choice.choice((0, len(token)))] = token
    elif kind == 6:
        other = choice.choice(seeds)
        start = choice.randint(0, len(other))
        content[at : at + length] = other[start : start + length]
    elif kind == 7:
        content[at : at + length] = choice.randbytes(min(length, 64))


def _number(choice: random.Random) -> bytes:
    order = choice.choice("<>")
    number = choice.choice(NUMBERS)
    size = choice.choice(("B", "H", "L"))
    largest = {"B": 0xFF, "H": 0xFFFF, "L": 0xFFFFFFFF}[size]
    return struct.pack(order + size, min(number, largest))
