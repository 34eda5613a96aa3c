"""Public validators, as tests use them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


def errors_of(path: Path) -> set[str]:
    """The lines that `dciodvfy -new` calls errors."""
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
    return {line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")}


def entity_errors(paths: Sequence[Path]) -> set[str]:
    """What `dcentvfy` says of objects of one study: where they disagree.

    It compares AccessionNumber as an attribute of the wrong entity, so those lines
    are left out.
    """
    command = ["dcentvfy", *map(str, paths)]
    said = subprocess.run(command, capture_output=True, text=True)
    lines = (said.stdout + said.stderr).splitlines()
    # a source without its Type 2 attributes gets results that have them, empty
    known = ("<AccessionNumber>", "Attribute present in one instance but not the other")
    return {line for line in lines if line.strip() and not any(one in line for one in known)}


def structured_report(path: Path, *options: str) -> str:
    """What `dsrdump` prints, in UTF-8 unless told; fails when it finds an error."""
    command = ["dsrdump", *(options or ("+U8",)), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert said.returncode == 0, said.stderr
    assert "E:" not in said.stderr, said.stderr
    return said.stdout


def presentation_state(path: Path) -> None:
    """Let `dcmpschk` judge a presentation state; fails when it finds an error."""
    said = subprocess.run(["dcmpschk", str(path)], capture_output=True, text=True, errors="replace")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "E:" not in said.stderr, said.stderr


def printed(path: Path) -> str:
    """Give what `pdftotext` finds on the pages of a PDF; fails when it complains."""
    said = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout
