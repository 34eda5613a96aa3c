"""Let pages of the site link to files of the repository (a hook of MkDocs).

A page links to `../../dicom_node/flow/receive.py` as the repository has it. The site
carries a copy of each file that a page links to, below `source/`.
"""

import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")
SHOWN = {".html", ".jpg", ".png"}
"""What a browser shows; anything else is carried as text."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the repository that a page links to."""
    pages = [file for file in files if file.is_documentation_page()]
    linked = {
        target
        for page in pages
        for link, _ in LINK.findall(page.content_string)
        if (target := _outside(page.src_uri, link)) and (ROOT / target).is_file()
    }
    for target in sorted(linked):
        files.append(File.generated(config, _copy(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links that leave docs/ to the copies."""

    def pointed(found: re.Match[str]) -> str:
        target = _outside(page.file.src_uri, found[1])
        if target is None:
            return found[0]
        return f"]({relpath(_copy(target), Path(page.file.src_uri).parent.as_posix())})"

    return LINK.sub(pointed, markdown)


def _outside(page: str, link: str) -> str | None:
    """Give the repository's path of what a page links to outside docs/, else None."""
    target = normpath(f"docs/{Path(page).parent.as_posix()}/{link}")
    return None if target.startswith("docs/") else target


def _copy(target: str) -> str:
    return f"source/{target}" if Path(target).suffix in SHOWN else f"source/{target}.txt"
