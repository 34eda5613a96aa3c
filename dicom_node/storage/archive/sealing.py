"""Sealing of files: AES-256-GCM in chunks.

A sealed file is a head (magic, key identifier, salt) and chunks of CHUNK bytes, each
with its tag. Every file has a key of its own, derived from the site's key and the salt,
so a nonce is the chunk's number alone; the last chunk is marked in its nonce, so a file
that was cut short does not open, and the head is authenticated with each chunk. The salt
is made of the content: the same content sealed twice is the same file.
"""

import binascii
import hashlib
import hmac
import stat
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dicom_node.domain.errors import BadSettings, GiveUp

MAGIC = b"DNVAULT1"
"""No DICOM file (PS3.10 7.1), HL7 message or JSON text begins like this."""
CHUNK = 1 << 20
KEY_BYTES, ID_BYTES, SALT_BYTES, TAG_BYTES = 32, 8, 32, 16
HEAD_BYTES = len(MAGIC) + ID_BYTES + SALT_BYTES


@dataclass(frozen=True, slots=True)
class Keys:
    """The site's keys by identifier; the first seals, all open."""

    first: str
    by_id: dict[str, bytes]

    def __repr__(self) -> str:
        """Name the keys without showing them."""
        return f"Keys({', '.join(self.by_id)})"


def load_keys(path: str) -> Keys:
    """Read a key file: a line of base64 per key of 32 bytes; raises BadSettings."""
    where = f"archive.key_file {path}"
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise BadSettings(f"{where} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"{where}: write keys as base64") from None
    if mode & stat.S_IRWXO:
        raise BadSettings(f"{where} can be read by everybody: chmod 600 it")
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            key = b64decode(text, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise BadSettings(
                f"{where}, line {number}: a key is 32 bytes in base64: openssl rand -base64 32"
            )
        keys[_hmac(key, b"key identifier").hex()[: 2 * ID_BYTES]] = key
    if not keys:
        raise BadSettings(f"{where} holds no key; make one: openssl rand -base64 32")
    return Keys(next(iter(keys)), keys)


def seal(chunks: Iterable[bytes], sha256: str, size: int, keys: Keys) -> Iterator[bytes]:
    """Yield the sealed form of `chunks`, whose SHA-256 (hex) and size are known."""
    key = keys.by_id[keys.first]
    salt = _hmac(key, b"salt" + bytes.fromhex(sha256) + size.to_bytes(8, "big"))
    head = MAGIC + bytes.fromhex(keys.first) + salt
    cipher = _cipher(key, salt)
    yield head
    blocks = _blocks(chunks)
    block = next(blocks, b"")
    number = 0
    for following in blocks:
        yield cipher.encrypt(_nonce(number, last=False), block, head)
        block, number = following, number + 1
    yield cipher.encrypt(_nonce(number, last=True), block, head)


def is_sealed(file: BinaryIO) -> bool:
    """Look whether a file is sealed; it is at its beginning afterwards."""
    sealed = file.read(len(MAGIC)) == MAGIC
    file.seek(0)
    return sealed


def unseal(file: BinaryIO, keys: Keys) -> Iterator[bytes]:
    """Yield the content of a sealed file; raises GiveUp for another key, or a changed file.

    What was yielded before it is raised must not be used.
    """
    head = file.read(HEAD_BYTES)
    key_id, salt = head[len(MAGIC) : len(MAGIC) + ID_BYTES].hex(), head[-SALT_BYTES:]
    if len(head) != HEAD_BYTES or not head.startswith(MAGIC):
        raise GiveUp("a sealed file is damaged")
    if key_id not in keys.by_id:
        raise GiveUp(f"a file is sealed with key {key_id}, which archive.key_file lacks")
    cipher = _cipher(keys.by_id[key_id], salt)
    block, number = file.read(CHUNK + TAG_BYTES), 0
    while True:
        following = file.read(CHUNK + TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), block, head)
        except (InvalidTag, ValueError):
            raise GiveUp("a sealed file was changed or cut short") from None
        if not following:
            return
        block, number = following, number + 1


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut the joined chunks into blocks of CHUNK bytes; the last may be shorter."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            taken = view[: CHUNK - len(held)]
            held += taken
            view = view[len(taken) :]
            if len(held) == CHUNK:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"dicom-node file")
    return AESGCM(derived.derive(key))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)
