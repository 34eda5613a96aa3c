"""Binds a database to its archive by a word that both keep."""

import uuid

from sqlalchemy import Engine, delete, exists, select

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Archive
from dicom_node.storage.database.schema import archive_identity, instances
from dicom_node.storage.database.transactions import transaction

REMEDY = (
    "mend database.url or archive.url; when they are meant to go together (a new database, "
    "a restored one, a new archive): dicom-node recover --adopt"
)


def require_bound(engine: Engine, archive: Archive, now: float) -> None:
    """Bind a new database to a new archive; raises BadSettings for two that are strangers.

    A database of before there were identities takes the archive's. Raises Away or
    TryAgain where one of them cannot be asked.
    """
    there = archive.identity()
    with transaction(engine) as conn:
        ours = conn.scalar(select(archive_identity.c.identity))
        used = conn.scalar(select(exists().select_from(instances)))
        if ours is None and (there is None or used):
            ours = there or uuid.uuid4().hex
            conn.execute(archive_identity.insert().values(identity=ours, noted_at=now))
            fresh = True
        else:
            fresh = False
    if ours is None:
        raise BadSettings(f"the archive belongs to another database than this empty one; {REMEDY}")
    if there is None and (fresh or not used):
        archive.identify(ours)  # two that start at once write the same
    elif there is None:
        raise BadSettings(f"the archive is empty or another than this database's; {REMEDY}")
    elif there != ours:
        raise BadSettings(f"the archive belongs to another database; {REMEDY}")


def bind(engine: Engine, archive: Archive, now: float) -> None:
    """Say that this database and this archive belong together from now on."""
    identity = archive.identity() or uuid.uuid4().hex
    archive.identify(identity)
    with transaction(engine) as conn:
        conn.execute(delete(archive_identity))
        conn.execute(archive_identity.insert().values(identity=identity, noted_at=now))
