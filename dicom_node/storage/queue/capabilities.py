"""Remembers what each destination takes."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, select

from dicom_node.storage.database.rows import ascii_json, key, upsert
from dicom_node.storage.database.schema import capabilities
from dicom_node.storage.database.transactions import transaction

KEPT_S = 86_400.0
"""A peer that learned something new shows it within a day."""


def remember(
    engine: Engine, destination: str, taken: Mapping[str, Sequence[str]], now: float
) -> None:
    """Write which transfer syntaxes a destination takes for each SOP class; none: refused."""
    rows = [
        {
            "destination": key(destination),
            "sop_class_uid": sop_class_uid,
            "syntaxes": ascii_json(list(syntaxes)),
            "asked_at": now,
        }
        for sop_class_uid, syntaxes in taken.items()
    ]
    with transaction(engine) as conn:
        upsert(conn, capabilities, rows, ("syntaxes", "asked_at"))


def refusals(engine: Engine, now: float) -> dict[str, frozenset[str]]:
    """Name the SOP classes that each destination refused within the last day."""
    asked = select(capabilities.c.destination, capabilities.c.sop_class_uid).where(
        capabilities.c.syntaxes == "[]", capabilities.c.asked_at > now - KEPT_S
    )
    with transaction(engine, writing=False) as conn:
        rows = conn.execute(asked).all()
    refused: dict[str, set[str]] = {}
    for row in rows:
        refused.setdefault(row.destination, set()).add(row.sop_class_uid)
    return {name: frozenset(classes) for name, classes in refused.items()}


def refused_by(engine: Engine, destination: str, now: float) -> frozenset[str]:
    """Name the SOP classes that one destination refused within the last day."""
    return refusals(engine, now).get(key(destination), frozenset())
