"""Starts a private S3 server for tests and stops it again (`make s3` fetches it)."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.archive import Bucket
from tests.support.certificates import Pair
from tests.support.paths import S3RVER

KEY = SECRET = "S3RVER"  # noqa: S105 - the only account that the test server knows
BUCKET = "films"


@dataclass
class S3Server:
    """A server on loopback that keeps its objects in a folder."""

    folder: Path
    port: int = 0
    pair: Pair | None = None
    """Its certificate and key; None: without TLS."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.pair else 'http'}://127.0.0.1:{self.port}"

    def bucket(self, prefix: str, credentials_file: str = "") -> Bucket:
        return Bucket(
            BUCKET,
            prefix,
            endpoint=self.endpoint,
            credentials_file=credentials_file or str(self.credentials()),
        )

    def credentials(self, key: str = KEY, name: str = "credentials") -> Path:
        """Write a credentials file and give its path."""
        path = self.folder / name
        path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")
        path.chmod(0o600)
        return path

    def file(self, key: str) -> Path:
        """Give the file in which the server keeps an object's bytes."""
        return self.folder / "objects" / BUCKET / f"{key}._S3rver_object"

    def start(self) -> None:
        node = shutil.which("node")
        assert node is not None
        arguments = ["-d", str(self.folder / "objects"), "-a", "127.0.0.1", "-p", str(self.port)]
        if self.pair is not None:
            arguments += ["--key", str(self.pair.key), "--cert", str(self.pair.certificate)]
        log = self.folder / "log"
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                [node, str(S3RVER), *arguments, "--no-vhost-buckets", "--configure-bucket", BUCKET],
                stdout=said,
                stderr=said,
                env=os.environ,
            )
        give_up_at = time.monotonic() + 60
        while not (found := re.search(rb"listening on 127.0.0.1:(\d+)", log.read_bytes())):
            assert time.monotonic() < give_up_at and self.process.poll() is None, log.read_text()
            time.sleep(0.05)
        self.port = int(found.group(1))

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def s3_server(folder: Path, pair: Pair | None = None) -> Iterator[S3Server]:
    """Run a server of its own below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = S3Server(folder, pair=pair)
    server.start()
    try:
        yield server
    finally:
        server.stop()
