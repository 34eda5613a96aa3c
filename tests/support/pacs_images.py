"""What the tests put into a PACS, and what they find at the node."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, func, select

from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.database.schema import instances
from dicom_node.storage.database.transactions import transaction
from tests.support.encoded import chest
from tests.support.listeners import Orthanc
from tests.support.raw_scu import CR

EXPLICIT = "1.2.840.10008.1.2.1"
ROOT = "1.2.826.0.1.3680043.8.498.7"

Changes = Mapping[int, tuple[bytes, bytes] | None]


def radiograph(number: int, day: str = "20261101", changes: Changes | None = None) -> bytes:
    """A CR file of 256 x 256 pixels, one study each; equal for equal arguments."""
    uid = f"{ROOT}.{number}"
    own: dict[int, tuple[bytes, bytes] | None] = {
        0x00080018: (b"UI", uid.encode()),
        0x00080020: (b"DA", day.encode()),
        0x00080050: (b"SH", f"A{number}".encode()),
        0x0020000D: (b"UI", f"{uid}.1".encode()),
        0x0020000E: (b"UI", f"{uid}.2".encode()),
        0x00280010: (b"US", b"\x00\x01"),
        0x00280102: (b"US", b"\x07\x00"),
        0x00280103: (b"US", b"\x00\x00"),
        0x7FE00010: (b"OW", bytes(256 * 256)),
    }
    return file_head(CR, uid, EXPLICIT) + chest({**own, **(changes or {})})


def fill(pacs: Orthanc, files: Iterable[bytes]) -> None:
    """Put files into the PACS."""
    for file in files:
        pacs.content("/instances", file, "POST")


@contextmanager
def database_of(config: Path) -> Iterator[Engine]:
    engine = open_database(load_settings(config).database.url)
    try:
        yield engine
    finally:
        engine.dispose()


def received(config: Path) -> list[str]:
    """The UIDs that the node has, in the order of receipt."""
    with database_of(config) as engine, transaction(engine, writing=False) as conn:
        return list(conn.execute(select(instances.c.sop_instance_uid).order_by("id")).scalars())


def count_received(engine: Engine) -> int:
    """How many images the node has; takes no lock from the writer."""
    with transaction(engine, writing=False) as conn:
        return conn.scalar(select(func.count()).select_from(instances)) or 0


def stored_files(config: Path) -> list[Path]:
    return sorted((config.parent / "var" / "archive").rglob("*.dcm"))
