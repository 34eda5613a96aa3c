"""A document: sections with paragraphs and tables."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it: paragraphs, tables, sections."""

    title: str
    body: tuple["str | Table | Section", ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A statement; `cover` are lines below its title."""

    title: str
    cover: tuple[str, ...]
    sections: tuple[Section, ...]


def numbered(sections: tuple[Section, ...], before: str = "") -> Iterator[tuple[str, int, Section]]:
    """Yield every section with its number and its depth (1 is the outermost)."""
    for index, section in enumerate(sections, start=1):
        number = f"{before}{index}"
        yield number, number.count(".") + 1, section
        inner = tuple(one for one in section.body if isinstance(one, Section))
        yield from numbered(inner, f"{number}.")


def content(section: Section) -> Iterator[str | Table]:
    """Yield a section's own paragraphs and tables."""
    for one in section.body:
        if not isinstance(one, Section):
            yield one
