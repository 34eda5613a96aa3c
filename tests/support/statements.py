"""Conformance statements, and finding what they say."""

from collections.abc import Callable

from dicom_node.commands.conformance.document import Document, Table
from dicom_node.commands.conformance.statement import dicom_statement, ihe_statement
from dicom_node.settings.settings import Settings

Configure = Callable[..., Settings]


def dicom(settings: Settings) -> Document:
    return dicom_statement(settings, "1.2.3", "2026-11-21")


def ihe(settings: Settings) -> Document:
    return ihe_statement(settings, "1.2.3", "2026-11-21")


def table(document: Document, title: str) -> Table:
    """Find the one table with a title that starts so."""
    every = [
        one
        for _, _, section in document.numbered()
        for one in section.content
        if isinstance(one, Table) and one.title.startswith(title)
    ]
    assert len(every) == 1, f"{len(every)} tables {title!r}"
    return every[0]


def lookup(found: Table, key: int = 0, value: int = 1) -> dict[str, str]:
    """Read a table as a mapping from one column to another."""
    return {row[key]: row[value] for row in found.rows}
