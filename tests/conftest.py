"""Fixtures and tool checks that all tests share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.databases import engine, ledger, migrated_file, postgres, retention, url
from tests.support.paths import ROOT, S3RVER, SHARED
from tests.support.tls_files import authority, files, node_pair, peer_pair, stranger, wrap

__all__ = [
    "authority",
    "engine",
    "files",
    "ledger",
    "migrated_file",
    "node_pair",
    "peer_pair",
    "postgres",
    "retention",
    "stranger",
    "url",
    "wrap",
]
os.environ["PATH"] += ":/usr/sbin"  # Debian keeps Orthanc there

NEEDS = {
    "peers": ("Orthanc", "dcmsend", "storescu", "storescp", "dsrdump", "dciodvfy", "dcentvfy"),
    "postgres": ("pg_ctl", "initdb"),
    "browser": ("chromium",),
}
LONGEST = (
    "story",
    "peers/viewers",
    "abuse/faults",
    "peers/variants",
    "abuse/privacy",
    "peers/dicomweb",
)
"""Folders that go first, so that no worker is left with a long file when the others have none."""


def _postgres_programs() -> None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        os.environ["PATH"] += f":{folder}"


_postgres_programs()


def _missing(marker: str) -> str | None:
    if marker == "data":
        return None if (SHARED / "data" / "dicom").is_dir() else f"no {SHARED}/data"
    if marker == "s3":
        return None if S3RVER.is_file() and shutil.which("node") else "no S3 server: make s3"
    if marker == "gpu":
        return None if Path("/dev/nvidia0").exists() else "no CUDA device"
    absent = [tool for tool in NEEDS.get(marker, ()) if shutil.which(tool) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first (`--no-loadscope-reorder` keeps it so)."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").as_posix()
        return next((n for n, name in enumerate(LONGEST) if folder.startswith(name)), len(LONGEST))

    items.sort(key=place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip for a missing tool on a laptop, fail for it in CI."""
    for marker in ("peers", "postgres", "browser", "s3", "data", "gpu"):
        if item.get_closest_marker(marker) is None:
            continue
        reason = _missing(marker)
        if reason is None:
            continue
        if os.environ.get("CI") == "true" and marker != "gpu":
            pytest.fail(f"{marker}: {reason}")
        pytest.skip(f"{marker}: {reason}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the shared radiographs."""
    return SHARED / "data"


@pytest.fixture(autouse=True)
def _logs_as_at_the_start() -> Iterator[None]:
    """Undo what a command run in this process did to the logs: its stderr is closed by now."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
