"""The archive in an S3 store: whole objects under keys made of their hash."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from dicom_node.domain.archive import Bucket, MemorySpool
from dicom_node.domain.errors import Away, BadSettings, GiveUp, TryAgain
from dicom_node.domain.work import StoredFile
from dicom_node.storage.archive.cache import FileCache
from dicom_node.storage.archive.keys import digest_of, is_key, key_of
from dicom_node.storage.archive.orphans import ASIDE_S, IDENTITY
from dicom_node.storage.archive.s3_credentials import FileCredentials, require_credentials

if TYPE_CHECKING:  # the library has this type for checkers only
    from obstore.store import ClientConfig

ASIDE = ".aside/"
"""Where objects go that no row knows; a reader that misses one looks there."""
CONNECT_S = 5
REQUEST_S = 60
"""One transfer; a sender waits about as long for its C-STORE response."""
RETRY_S = 10


class S3Archive:
    """An archive in a bucket, with a folder of local copies; safe for many processes.

    An object is sent in one request, so the store shows it whole or not at all, and
    the request's signature covers its SHA-256. What is fetched is checked again.
    """

    def __init__(self, bucket: Bucket, cache_folder: Path, cache_bytes: int) -> None:
        self._bucket = bucket
        self._store = _open_bucket(bucket)
        self._cache_folder = cache_folder
        self._cache = FileCache(cache_folder, cache_bytes)

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably; see `domain.pipeline.Archive`."""
        content = b"".join(chunks)
        sha256 = hashlib.sha256(content).hexdigest()
        key = key_of(folder, sha256, suffix)
        with self._faults():
            obstore.put(self._store, key, content, use_multipart=False)
        with suppress(Away):  # it is safe; a copy only saves fetching it
            self._cache.add(key, (content,))
        return StoredFile(key, sha256, len(content))

    def spool(self) -> MemorySpool:
        """Begin a file in memory: an object is sent whole."""
        return MemorySpool(self.put)

    @contextmanager
    def opened(self, key: str) -> Iterator[Path]:
        """Give the path of a local copy; raises GiveUp when the object is gone."""
        yield self._cache.find(_checked(key)) or self._cache.add(key, (self._fetch(key),))

    def read(self, key: str) -> bytes:
        """Give the stored bytes; raises GiveUp when they are gone."""
        copy = self._cache.find(_checked(key))
        return copy.read_bytes() if copy is not None else self._fetch(key)

    def delete(self, key: str) -> None:
        """Forget the object and its copy; one that is gone already is no error."""
        self._cache.forget(_checked(key))
        with self._faults():
            obstore.delete(self._store, [key, ASIDE + key])

    def free_bytes(self) -> int:
        """Say how much room the copies have; the store itself has no end."""
        try:
            self._cache_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self._cache_folder).free
        except OSError as error:
            raise TryAgain(f"archive cache: {error.strerror or error}") from error

    def tidy_spool(self, older_than_s: float, now: float) -> int:
        """Remove what was set aside long ago, and stale copies; say how many files."""
        removed = self._cache.trim(now)
        before = now - max(older_than_s, ASIDE_S)
        with self._faults():
            for key in self._written_before(before, ASIDE):
                obstore.delete(self._store, key)
                removed += 1
        return removed

    def old_keys(self, before: float) -> Iterator[str]:
        """Give the keys of objects stored before `before` (POSIX seconds)."""
        with self._faults():
            for key in self._written_before(before, None):
                if is_key(key):  # nothing that is not ours, and nothing aside
                    yield key

    def set_aside(self, key: str, before: float) -> bool:
        """Set the object aside if it is still the old one; say whether it was.

        A store cannot delete on the condition that nobody stores the same content
        anew at that moment. So a copy stays aside, and `read` and `opened` bring it
        back if a row came to know the key after all.
        """
        with self._faults():
            try:
                found = obstore.head(self._store, _checked(key))
                if found["last_modified"].timestamp() >= before:
                    return False
                obstore.copy(self._store, key, ASIDE + key)
            except FileNotFoundError:
                return False
            obstore.delete(self._store, key)
        self._cache.forget(key)
        return True

    def keys_aside(self) -> Iterator[str]:
        """Give the keys of objects that are set aside."""
        with self._faults():
            for key in self._written_before(float("inf"), ASIDE):
                yield key.removeprefix(ASIDE)

    def identity(self) -> str | None:
        """Give the word that `identify` kept."""
        with self._faults():
            try:
                return bytes(obstore.get(self._store, IDENTITY).bytes()).decode("ascii")
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return None

    def identify(self, identity: str) -> None:
        """Keep a word as an object of its own."""
        with self._faults():
            obstore.put(self._store, IDENTITY, identity.encode("ascii"), use_multipart=False)

    def close(self) -> None:
        """Leave the copies: other processes read them too."""

    def _fetch(self, key: str) -> bytes:
        with self._faults():
            try:
                content = bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                content = self._brought_back(key)
        if hashlib.sha256(content).hexdigest() != digest_of(key):  # the transfer may be to blame
            raise TryAgain(f"archive {self._bucket.url}: the content of {key} is not what was put")
        return content

    def _brought_back(self, key: str) -> bytes:
        """Give the bytes of an object that was set aside, and put it back."""
        try:
            obstore.copy(self._store, ASIDE + key, key)
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise
            raise GiveUp(f"archive file {key} is gone") from None

    def _written_before(self, before: float, prefix: str | None) -> Iterator[str]:
        for page in obstore.list(self._store, prefix):
            for found in page:
                if found["last_modified"].timestamp() < before:
                    yield found["path"]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Say in our words what the store refuses: its own may show the access key."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            where = self._bucket.endpoint or "Amazon"
            raise Away(f"archive {self._bucket.url}: {_fault(error, where)}") from None


def _open_bucket(bucket: Bucket) -> S3Store:
    """Open the bucket without a request; raises BadSettings for what cannot work."""
    provider = FileCredentials(bucket.credentials_file) if bucket.credentials_file else None
    if provider is None:
        require_credentials(bucket.endpoint)
    options: ClientConfig = {
        "allow_http": bucket.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "timeout": timedelta(seconds=REQUEST_S),
    }
    try:
        if bucket.ca_file:
            options["root_certificate"] = Path(bucket.ca_file).read_bytes()
        return S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            region=bucket.region,
            endpoint=bucket.endpoint or None,
            virtual_hosted_style_request=not bucket.endpoint,
            client_options=options,
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
            credential_provider=provider,
        )
    except OSError as error:
        raise BadSettings(f"archive.ca_file {bucket.ca_file}: {error.strerror}") from None
    except BaseError as error:
        raise BadSettings(f"archive: {str(error).splitlines()[0]}") from None


def _fault(error: Exception, where: str) -> str:
    """Say what is wrong and who can mend it."""
    status = re.search(r"status code: (\d+)", str(error))
    code = _code(error) or (f"status {status.group(1)}" if status else "no answer")
    if status is not None and status.group(1) in ("401", "403"):
        return f"access denied ({code}): mend the credentials or their rights"
    if status is not None and status.group(1) == "404":
        return f"no such bucket ({code}): create it or mend archive.url"
    return f"the store at {where} is away ({code})"


def _code(error: Exception) -> str:
    """Give the code that the store's answer (XML) names, as NoSuchKey."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found.group(1) if found else ""


def _checked(key: str) -> str:
    if not is_key(key):
        raise GiveUp(f"{key!r} is not a key of the archive")
    return key
