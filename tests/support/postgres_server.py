"""Starts a private Postgres server for tests and stops it again."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.listeners import free_port

USER = "postgres"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server on loopback; anyone on this machine may log in."""

    port: int
    folder: Path
    settings: tuple[str, ...]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE "{database}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        address = f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        options = " ".join(f"-c {setting}" for setting in self.settings)
        self._control("start", "-o", f"-p {self.port} {options}", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        _as_owner("pg_ctl", "-D", str(self.folder / "cluster"), "-w", *arguments)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a server of its own; `durable=False` leaves out fsync, which tests do not need."""
    # not below pytest's folder: that one is closed to the user postgres
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-postgres-"))
    settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    if not durable:
        settings += ["fsync=off", "full_page_writes=off"]
    try:
        if os.getuid() == 0:
            os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        cluster = str(folder / "cluster")
        _as_owner("initdb", "-D", cluster, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        server = PostgresServer(free_port(), folder, tuple(settings))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner(program: str, *arguments: str) -> None:
    """Run a server program, which refuses to be run by root."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not on PATH"
    prefix = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    subprocess.run(
        [*prefix, found, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=True,
        timeout=60,
    )
