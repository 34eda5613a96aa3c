"""The archive that the configuration names; what it does not name is not imported."""

from pathlib import Path

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Archive
from dicom_node.settings.settings import Settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.orphans import SPOOL


def open_archive(settings: Settings) -> Archive:
    """Open the archive that the configuration names; raises BadSettings."""
    key_file, register = settings.archive.key_file, archive_folder(settings) / SPOOL / "keys"
    if not (key_file or register.exists()):
        return _open_store(settings)
    from dicom_node.storage.archive.room import Room
    from dicom_node.storage.archive.sealed import SealedArchive, require_keys
    from dicom_node.storage.archive.sealing import load_keys

    keys = load_keys(key_file) if key_file else None
    require_keys(register, keys)
    stored = _open_store(settings)
    return stored if keys is None else SealedArchive(stored, keys, register, Room())


def _open_store(settings: Settings) -> Archive:
    bucket = settings.archive.bucket
    if bucket is None:
        folder = archive_folder(settings)
        if settings.archive.url and not folder.is_dir():  # never made: a share may be unmounted
            raise BadSettings(f"archive.url: {folder} is no folder; create or mount it")
        return FileArchive(folder)
    from dicom_node.storage.archive.s3 import S3Archive

    return S3Archive(bucket, archive_folder(settings), int(settings.archive.cache_gb * 1e9))


def archive_folder(settings: Settings) -> Path:
    """Say where instances and results are kept, or copies of those in an S3 store."""
    if settings.archive.bucket is not None:
        return settings.node.data_dir / "cache"
    return settings.archive.folder or settings.node.data_dir / "archive"


def free_bytes(settings: Settings) -> int:
    """Say how much room the archive's disk has."""
    if settings.archive.bucket is not None:
        return FileArchive(settings.node.data_dir).free_bytes()
    return open_archive(settings).free_bytes()
