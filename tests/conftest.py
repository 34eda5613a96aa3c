"""Fixtures and tool checks that all tests share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DICOM_NODE_SHARED", ROOT.parent / "shared"))
S3RVER = ROOT / "build/s3/node_modules/s3rver/bin/s3rver.js"
os.environ["PATH"] += ":/usr/sbin"  # Debian keeps Orthanc there

NEEDS = {
    "peers": ("Orthanc", "dcmsend", "storescu", "storescp", "dsrdump", "dciodvfy", "dcentvfy"),
    "postgres": ("pg_ctl", "initdb"),
    "browser": ("chromium",),
}
LONGEST = ("story", "viewers", "pipelines", "cli", "faults", "variants", "privacy", "dicomweb")
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
    order = {name: place for place, name in enumerate(LONGEST)}
    folders = {item: item.path.relative_to(ROOT / "tests").parts[0] for item in items}
    items.sort(key=lambda item: order.get(folders[item], len(order)))


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
