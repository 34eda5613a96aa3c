"""Write docs/reference/ from the code: `make reference`.

A test holds the pages of the repository equal to what this writes.
"""

import ast
import contextlib
import dataclasses
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydicom.uid import UID

from dicom_node.commands import cli
from dicom_node.commands.conformance.facts import store_fates
from dicom_node.domain.operations.monitoring import Readings
from dicom_node.domain.reception import STORE_STATUSES
from dicom_node.network.dimse.answers import REJECTIONS
from dicom_node.network.dimse.options import VERIFICATION
from dicom_node.network.dimse.scp import SERVED
from dicom_node.roles.console.metrics import Disk, write_metrics
from dicom_node.settings.settings import ENVIRONMENT, Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
NOTICE = "<!-- written by `make reference` from the code: edit that, not this -->\n\n"
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def pages() -> dict[str, str]:
    """Give every page of the reference: its file name and its text."""
    return {
        "configuration.md": NOTICE + _configuration(),
        "commands.md": NOTICE + _commands(),
        "accepted.md": NOTICE + _accepted(),
        "statuses.md": NOTICE + _statuses(),
        "events.md": NOTICE + _events(),
        "metrics.md": NOTICE + _metrics(),
    }


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)


# configuration


@dataclasses.dataclass(frozen=True)
class Described:
    """What config/node.toml says of a section and of its keys."""

    words: str
    keys: Mapping[str, str]


def commented_file() -> str:
    """Give config/node.toml with its commented-out examples as live tables."""
    text = (ROOT / "config" / "node.toml").read_text(encoding="utf-8")
    return re.sub(
        r"^# \[\[\w+\]\]\n(# .*\n)+",
        lambda found: re.sub("^# ", "", found[0], flags=re.MULTILINE),
        text,
        flags=re.MULTILINE,
    )


def _configuration() -> str:
    described = _described(commented_file())
    parts = [
        "# Configuration keys\n\n"
        "Every key of the file, from the settings of the code and the comments of\n"
        "[config/node.toml](../../config/node.toml). A key may also be set in the environment:\n"
        f"`{ENVIRONMENT}NODE__PORT=104` is `port` in `[node]`. Relative paths start from the\n"
        "file's folder. An unknown key, or a value out of its range, is refused with one line\n"
        "that names file, key and remedy."
    ]
    for name, field in Settings.model_fields.items():
        several = get_origin(field.annotation) is tuple
        kind = get_args(field.annotation)[0] if several else field.annotation
        said = described.get(name, Described("", {}))
        head = f"## [[{name}]]" if several else f"## [{name}]"
        words = f"\n\n{said.words}" if said.words else ""
        if name == "pipelines":
            parts.append(f"{head}{words}\n\n{_pipelines(field.default, said)}")
            continue
        rows = [
            (f"`{key}`", default, allowed, said.keys.get(key, ""))
            for key, default, allowed in _keys(kind)
        ]
        parts.append(f"{head}{words}\n\n{_table(('key', 'default', 'takes', 'is'), rows)}")
    return "\n\n".join(parts) + "\n"


def _pipelines(default: Mapping[str, str], said: Described) -> str:
    rows = [(f"`{key}`", f"`{path}`", said.keys.get(key, "")) for key, path in default.items()]
    return _table(("name", "default", "is"), rows)


def _described(text: str) -> dict[str, Described]:
    """Read the comments of the commented configuration file, section by section."""
    sections: dict[str, Described] = {}
    before: list[str] = []
    keys: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if found := re.match(r"\[\[?(\w+)\]\]?", line):
            keys = {}
            sections[found[1]] = Described(" ".join(before), keys)
        elif found := re.match(r"(\w+) = (.*?)(?:\s+# (.*))?$", line):
            last = found[1]
            keys[last] = found[3] or ""
        elif found := re.match(r"\s+# (.*)", line):
            keys[last] = f"{keys[last].removesuffix(' ...')} {found[1].removeprefix('... ')}"
        before = [*before, line[2:]] if line.startswith("# ") else []
    return sections


def _keys(kind: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - a class of settings
    """Yield name, default and range of every key of a section."""
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            limits = [one for one in field.metadata if hasattr(one, "__dict__") or _bounds([one])]
            missing = field.default is PydanticUndefined
            default = "required" if missing else _value(field.default)
            yield name, default, _type(field.annotation, limits)
        return
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        default = "required"
        if one.default is not dataclasses.MISSING:
            default = _value(one.default)
        elif one.default_factory is not dataclasses.MISSING:
            default = _value(one.default_factory())
        yield one.name, default, _type(hints[one.name], [])


def _value(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or isinstance(value, str | Path):
        return f'`"{"" if value is None else value}"`'
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return "`{}`" if isinstance(value, Mapping) else f"`{value}`"


def _type(kind: Any, limits: list[Any]) -> str:  # noqa: ANN401 - any annotation
    names = {str: "text", bool: "true, false", int: "whole number", float: "number", Path: "path"}
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind) if one != "")
    if origin is tuple:
        return f"list of {_type(get_args(kind)[0], [])}"
    if origin in (UnionType, Union):
        return _type(next(one for one in get_args(kind) if one is not type(None)), limits)
    if isinstance(kind, type) and issubclass(kind, str):
        return names[str]
    bounds = _bounds(limits)
    if origin is not None or kind not in names:
        return "table"
    return f"{names[kind]} {bounds}".strip()


def _bounds(limits: list[Any]) -> str:
    known = {
        name: getattr(one, name)
        for one in limits
        for name in ("ge", "gt", "le")
        if hasattr(one, name)
    }
    words = [
        f"above {known['gt']:,}" if "gt" in known else "",
        f"from {known['ge']:,}" if "ge" in known else "",
        f"to {known['le']:,.0f}" if "le" in known else "",
    ]
    return " ".join(filter(None, words))


# commands


def command_names() -> list[str]:
    """List the commands that `dicom-node --help` names."""
    listed = re.split(r"\n(?:Commands:|positional arguments:)\n", _help())[-1]
    return re.findall(r"^ {2,4}([a-z]+)(?: |$)", listed, re.MULTILINE)


def help_of(*words: str) -> str:
    """Give what `dicom-node WORDS... --help` prints."""
    return _help(*words)


def _help(*words: str) -> str:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "96"
    try:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            cli.main([*words, "--help"])
        return printed.getvalue().rstrip()
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({"COLUMNS": before} if before else {})


def subcommands(text: str) -> list[str]:
    """List the actions that a command's help names, if it has any."""
    found = re.search(r"^(?:  ACTION|Commands:)\n((?: {2,}.*\n?)+)", text, re.MULTILINE)
    return re.findall(r"^ {2,4}([a-z]+)(?: |$)", found[1], re.MULTILINE) if found else []


def _commands() -> str:
    parts = [
        "# Commands\n\n"
        "What `dicom-node COMMAND --help` says. Exit codes: 0 done, 1 something failed and was\n"
        "named, 2 usage or configuration is wrong. `train`, `evaluate` and `quantize` take\n"
        "further options of the task: `dicom-node train TASK --help`."
    ]
    for name in command_names():
        text = help_of(name)
        parts.append(f"## {name}\n\n```text\n{text}\n```")
        parts.extend(
            f"### {name} {action}\n\n```text\n{help_of(name, action)}\n```"
            for action in subcommands(text)
        )
    return "\n\n".join(parts) + "\n"


# accepted objects


def _accepted() -> str:
    images = {uid: served for uid, served in SERVED.items() if uid != VERIFICATION}
    syntaxes = dict.fromkeys(s for served in images.values() for s in served.transfer_syntaxes)
    native = ", ".join(UID(uid).name for uid in SERVED[VERIFICATION].transfer_syntaxes)
    return (
        "# Accepted objects\n\n"
        "What the receiver accepts of an association's presentation contexts. A route decides\n"
        "which of the images are read. `dicom-node conformance` says it of a configuration.\n\n"
        "## SOP classes\n\n"
        f"{_table(('SOP class', 'UID'), [(UID(uid).name, f'`{uid}`') for uid in SERVED])}\n\n"
        "## Transfer syntaxes of images\n\n"
        f"{_table(('transfer syntax', 'UID'), [(UID(uid).name, f'`{uid}`') for uid in syntaxes])}"
        f"\n\nOf Verification: {native}.\n"
    )


# statuses


def _statuses() -> str:
    ours = [(f"`{code:04X}`", words) for code, words in sorted(STORE_STATUSES.items())]
    theirs = [
        (f"`{codes}`", fate.words or "another status", fate.behaviour)
        for codes, fate in store_fates()
    ]
    rejections = [
        (f"{result}/{source}/{reason}", words)
        for (result, source, reason), words in REJECTIONS.items()
    ]
    return (
        "# Statuses\n\n## What the node answers to a C-STORE\n\n"
        "The status tells of receipt and safe storage, never of analysis (PS3.4 B.2.3, PS3.7\n"
        f"annex C).\n\n{_table(('status', 'says'), ours)}\n\n"
        "## What a destination's answer to a C-STORE leads to\n\n"
        f"{_table(('status', 'is taken as', 'then'), theirs)}\n\n"
        "## When a destination rejects the association\n\n"
        "Result, source and reason as in PS3.8 table 9-21. Every rejection is tried again for\n"
        "days: an AE title that is not known is a setting that people correct.\n\n"
        f"{_table(('code', 'is shown as'), rejections)}\n\n"
        "HL7 acknowledgements are in [HL7 receivers](../it/hl7.md), HTTP statuses in\n"
        "[Destinations](../it/destinations.md).\n"
    )


# log events


@dataclasses.dataclass(frozen=True, order=True)
class Event:
    """One place where the code writes an event to the log."""

    name: str
    level: str
    fields: tuple[str, ...]
    path: str


def events() -> list[Event]:
    """Find every event of the log in the code, by name."""
    found = set()
    for folder in ("dicom_node", "pipelines"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if event := _event(node, path.relative_to(ROOT).as_posix()):
                    found.add(event)
    return sorted(found)


def _event(node: ast.AST, path: str) -> Event | None:
    if not (isinstance(node, ast.Call) and node.args):
        return None
    first, called = node.args[0], node.func
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return None
    if isinstance(called, ast.Name) and called.id == "log_failure":
        return Event(first.value, "error", ("error", "where"), path)
    if not (isinstance(called, ast.Attribute) and called.attr in LEVELS):
        return None
    if not re.fullmatch(r"[a-z]+(_[a-z]+)+", first.value):
        return None
    fields = tuple(sorted(word.arg for word in node.keywords if word.arg))
    return Event(first.value, called.attr, fields, path)


def _events() -> str:
    rows: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for one in events():
        fields, paths = rows.setdefault((one.name, one.level), (set(), set()))
        fields.update(one.fields)
        paths.add(one.path)
    lines = [
        (
            f"`{name}`",
            level,
            ", ".join(f"`{field}`" for field in sorted(fields)),
            ", ".join(f"[{Path(path).stem}](../../{path})" for path in sorted(paths)),
        )
        for (name, level), (fields, paths) in rows.items()
    ]
    return (
        "# Log events\n\n"
        "Each line of the log is one event with a name of its own (`logs.format`). Names are an\n"
        "interface: the changelog lists those that change. They carry UIDs and ids, never a\n"
        "patient. Fields that the surrounding code binds (`sop_instance_uid`, `calling_ae`, ...)\n"
        "come beside those of the table.\n\n"
        f"{_table(('event', 'level', 'own fields', 'from'), lines)}\n"
    )


# metrics


def _metrics() -> str:
    nothing: dict[str, Any] = {one.name: () for one in dataclasses.fields(Readings)} | {"at": 0.0}
    text = write_metrics(Readings(**nothing), Disk(0, 0))
    rows = re.findall(r"# HELP (\S+) (.*)\n# TYPE \S+ (\w+)", text)
    return (
        "# Metrics\n\n`GET /metrics` of the console's server, in Prometheus' text format.\n\n"
        + _table(("name", "kind", "is"), [(f"`{name}`", kind, words) for name, words, kind in rows])
        + "\n"
    )


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
