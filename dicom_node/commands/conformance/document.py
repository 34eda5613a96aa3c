"""A statement as a value, and as one HTML file."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydicom.uid import UID

_CONTROLS = dict.fromkeys(range(32), " ")
TEMPLATES = Environment(
    loader=PackageLoader("dicom_node.commands.conformance"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    # XML has no way to write a control character of a configuration
    finalize=lambda value: value.translate(_CONTROLS) if isinstance(value, str) else value,
)
TEMPLATES.filters |= {"g": "{:g}".format, "named": lambda uid: UID(uid).name}


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

    @property
    def content(self) -> tuple[str | Table, ...]:
        """The section's own paragraphs and tables."""
        return tuple(part for part in self.body if not isinstance(part, Section))


@dataclass(frozen=True, slots=True)
class Document:
    """A statement; `cover` are lines below its title."""

    title: str
    cover: tuple[str, ...]
    sections: tuple[Section, ...]

    def numbered(self) -> Iterator[tuple[str, int, Section]]:
        """Yield every section with its number and its depth (1 is the outermost)."""
        return _numbered(self.sections, "")


def _numbered(sections: tuple[Section, ...], before: str) -> Iterator[tuple[str, int, Section]]:
    for index, section in enumerate(sections, start=1):
        number = f"{before}{index}"
        yield number, number.count(".") + 1, section
        inner = tuple(part for part in section.body if isinstance(part, Section))
        yield from _numbered(inner, f"{number}.")


def write(template: str, **facts: Any) -> Document:  # noqa: ANN401 - what the template names
    """Fill a template of `templates/` in and read the document that it gives."""
    text = TEMPLATES.get_template(template).render(facts)
    # our own template, every value escaped
    root = ElementTree.fromstring(text)  # noqa: S314  # nosec B314 - as above
    cover, *sections = root
    return Document(root.attrib["title"], tuple(map(_words, cover)), tuple(map(_section, sections)))


def page(document: Document) -> str:
    """Write the document as HTML; nothing is loaded from elsewhere."""
    sections = tuple(document.numbered())
    return TEMPLATES.get_template("page.html.j2").render(document=document, sections=sections)


def _section(element: ElementTree.Element) -> Section:
    read: dict[str, Callable[[ElementTree.Element], str | Table | Section]]
    read = {"section": _section, "table": _table, "p": _words}
    return Section(element.attrib["title"], tuple(read[part.tag](part) for part in element))


def _table(element: ElementTree.Element) -> Table:
    head, *rows = (tuple(map(_words, row)) for row in element)
    return Table(head, tuple(rows), element.attrib["title"])


def _words(element: ElementTree.Element) -> str:
    return re.sub(r"\s+", " ", element.text or "").strip()
