"""A TOML file from a person's hand, read with care."""

import tomllib
from pathlib import Path
from typing import Any


class NotRead(Exception):
    """The file cannot be used; the text says why, without the file's name."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file whose keys are keys of settings; raises NotRead and OSError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise NotRead("not valid TOML: too deeply nested") from None
    except ValueError as error:  # of the syntax, the encoding, or a number without end
        raise NotRead(f"not valid TOML: {error}") from None
    for key in content:
        # pydantic-settings would take these for arguments of its own
        if key.startswith("_"):
            raise NotRead(f"{key}: unknown key; remove it or correct its spelling")
    if _holds_nul(content):
        raise NotRead("a text holds a NUL character (\\u0000); remove it")
    return content


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value
