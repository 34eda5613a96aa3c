"""A document as one HTML file, for the screen and for paper."""

from collections.abc import Iterator
from html import escape

from dicom_node.commands.conformance.document import Document, Table, content, numbered

STYLE = """
:root { color-scheme: light; --ink: #1c2530; --line: #c9d1da; --shade: #eef2f6; --link: #0b5a8a; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 2rem; max-width: 60rem; color: var(--ink);
       font: 15px/1.55 "Noto Sans", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
header { border-bottom: 3px solid var(--link); margin-bottom: 2rem; padding-bottom: 1rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.45rem; margin: 2.6rem 0 .8rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h4, h5 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .6rem 0; }
header p { margin: .15rem 0; }
nav ol { list-style: none; margin: 0; padding: 0; columns: 2; }
nav li { break-inside: avoid; }
nav li.d2 { padding-left: 1.4rem; font-size: .93em; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0 1.2rem; font-size: .88rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .3rem .5rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
th { background: var(--shade); overflow-wrap: normal; }
tbody tr:nth-child(even) { background: #f8fafc; }
@page { size: A4; margin: 18mm 16mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  h2, h3, h4, caption { break-after: avoid; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  a { color: inherit; }
}
"""


def page(document: Document) -> str:
    """Write the document; nothing is loaded from elsewhere."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    title = escape(document.title)
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{STYLE}</style></head><body>"
    yield f"<header><h1>{title}</h1>"
    yield from (f"<p>{escape(line)}</p>" for line in document.cover)
    yield "</header><nav><ol>"
    every = tuple(numbered(document.sections))
    for number, depth, section in every:
        if depth <= 2:
            words = f"{number} {escape(section.title)}"
            yield f'<li class="d{depth}"><a href="#s{number}">{words}</a></li>'
    yield "</ol></nav><main>"
    for number, depth, section in every:
        level = min(depth + 1, 5)
        yield f'<h{level} id="s{number}">{number} {escape(section.title)}</h{level}>'
        for one in content(section):
            yield _table(one) if isinstance(one, Table) else f"<p>{escape(one)}</p>"
    yield "</main></body></html>"


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
