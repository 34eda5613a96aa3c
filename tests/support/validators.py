"""Public validators, as tests use them."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pydicom

ABOUT_A_VALUE = re.compile(
    r"(E: .*|W: (Testing: .*|Test failed.*|Error: .*|   Affected .*|\(....,....\) .*|))$"
)
"""Lines of `dcmpschk` that begin and end its words, or tell more of a wrong value."""


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


def state_errors(path: Path, source: Path) -> list[str]:
    """What `dcmpschk` finds wrong in a presentation state; it ends with 0 all the same.

    It judges copied values too, takes no Cyrillic name in UTF-8, and wants a patient's
    name, which may be empty (type 2): what it has against a value, or its absence, that
    is the source's is not the state's fault.
    """
    ran = subprocess.run(["dcmpschk", str(path)], capture_output=True, text=True, errors="replace")
    if ran.stderr.rstrip().endswith("W: Test passed."):
        return []
    state, header = (pydicom.dcmread(one, stop_before_pixels=True) for one in (path, source))
    blamed = re.findall(r"^E: +Affected attribute: (\w+) ", ran.stderr, re.MULTILINE)
    copied = [one for one in blamed if one in header and header[one].value == state[one].value]
    own = [one for one in blamed if one not in copied]
    # what is missing it tells in a line of its own, as a warning
    told = [line for line in ran.stderr.splitlines() if not ABOUT_A_VALUE.match(line)]
    nameless = [
        line for line in told if "patientName absent" in line and not header.get("PatientName")
    ]
    told = [line for line in told if line not in nameless]
    return [*own, *told] if copied or nameless or own or told else [ran.stderr]


def printed(path: Path) -> str:
    """Give what `pdftotext` finds on the pages of a PDF; fails when it complains."""
    said = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout
