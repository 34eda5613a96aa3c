"""What the documents say is so: links, commands, keys, paths, blocks that run."""

import ast
import re
import subprocess
import sys
from functools import cache
from os import environ, pathsep
from pathlib import Path

import pytest

from dicom_node.settings.settings import Settings, load_settings
from docs.scripts import reference
from tests.support.paths import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "models").glob("*/CARD.md"),
    ]
)
WRITTEN = [page for page in PAGES if page.parent != reference.FOLDER and page.name != "CARD.md"]
"""Pages written by hand, of the software as it is now."""
TOOLS = ("train", "evaluate", "quantize")
"""Commands whose further options belong to a task."""
RAISING = ("raise_alarm", "open_alarm", "set_alarms", "_set_alarms", "_alarm")
"""What opens alarms; the kind is a constant or a name of the module."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
written = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = _without_blocks(page)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", prose):
        if re.match("[a-z]+:", target):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor[1:] in _anchors(there), target + anchor


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", _without_blocks(page), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


def _without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@written
def test_every_command_and_option_exists(page: Path) -> None:
    for command in re.findall(r"(?<![\w/.-])dicom-node ([a-z][^`\n#]*)", _code(page)):
        name, *words = command.split()
        assert name in reference.command_names(), command
        actions = [word for word in words[:1] if word in _actions(name)]
        options = [word for word in words if re.fullmatch("--?[a-z][a-z-]*", word)]
        known = _help(name, *actions)
        if name not in TOOLS:
            missing = [word for word in options if not re.search(rf"(?<!\S){word}\b", known)]
            assert not missing, command


@cache
def _help(*words: str) -> str:
    # an option stands alone, in brackets, or before a comma
    return re.sub(r"[\[\]|(),]", " ", reference.help_of(*words))


@cache
def _actions(name: str) -> list[str]:
    return reference.subcommands(reference.help_of(name))


@written
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in re.findall(r"(?<![\w-])make ([a-z][^`\n#;|]*)", _code(page)):
        named = {word for word in line.split() if re.fullmatch("[a-z0-9-]+", word)}
        assert named <= targets, line


@written
def test_every_key_exists(page: Path) -> None:
    for section, key in re.findall(r"`([a-z]\w*)\.([a-z_0-9]+)\b[^`]*`", _without_blocks(page)):
        kind = Settings.model_fields.get(section)
        keys = getattr(kind and kind.annotation, "model_fields", ())
        assert not keys or key == "toml" or key in keys, f"{section}.{key}"


@written
def test_every_path_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # tells of earlier layouts
        return
    folders = "dicom_node|pipelines|tests|config|docker|docs|locks|models"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]+)", _without_blocks(page)):
        if not re.search("NAME|TASK", path):
            assert (ROOT / path).exists(), path


@written
def test_every_block_of_settings_loads(page: Path, tmp_path: Path) -> None:
    for block in _marked(page, "settings", "toml"):
        (tmp_path / "node.toml").write_text(block)
        load_settings(tmp_path / "node.toml")


@pytest.mark.parametrize("page", [page for page in WRITTEN if "<!-- run -->" in page.read_text()])
def test_every_block_that_is_marked_runs(page: Path, tmp_path: Path) -> None:
    script = "".join(_marked(page, "run", "sh"))
    path = f"{Path(sys.executable).parent}{pathsep}{environ['PATH']}"
    environment = {**environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    command = ["bash", "-euo", "pipefail", "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _marked(page: Path, mark: str, language: str) -> list[str]:
    pattern = rf"^<!-- {mark} -->\n```{language}\n(.*?)^```$"
    found = re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == page.read_text().count(f"\n<!-- {mark} -->\n")
    return found


def _code(page: Path) -> str:
    """Give what stands in blocks and between backticks, a line each."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (.*)$", text, re.MULTILINE)
    return "\n".join([*blocks, *indented, *re.findall("`([^`\n]+)`", _without_blocks(page))])


def test_the_reference_is_what_the_code_says() -> None:
    for name, text in reference.pages().items():
        assert (reference.FOLDER / name).read_text() == text, f"{name}: make reference"


def test_the_reference_says_of_every_key_what_it_is() -> None:
    text = (reference.FOLDER / "configuration.md").read_text()
    assert [line for line in text.splitlines() if line.endswith("|  |")] == []


def test_the_front_page_is_short_and_its_pictures_are_small() -> None:
    assert (ROOT / "README.md").stat().st_size <= 8_000
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 150_000 for picture in pictures)


def test_every_alarm_is_in_the_page_on_monitoring() -> None:
    page = (ROOT / "docs" / "it" / "monitoring.md").read_text()
    told = page.split("## Alarms")[1].split("\n## ")[0]
    missing = {kind for kind in _alarms() if f"`{kind}`" not in told}
    assert not missing


def _alarms() -> set[str]:
    """Find the kinds of alarms that the code raises by a name of its own."""
    kinds = set()
    for path in (ROOT / "dicom_node").rglob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in RAISING:
                for given in node.args:
                    kind = named.get(given.id) if isinstance(given, ast.Name) else None
                    kind = given.value if isinstance(given, ast.Constant) else kind
                    if isinstance(kind, str) and re.fullmatch("[a-z]+(_[a-z]+)*", kind):
                        kinds.add(kind)
    return kinds
