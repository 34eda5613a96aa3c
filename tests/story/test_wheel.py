"""The wheel, installed where nothing else is: what an administrator gets."""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node import __version__, share
from tests.support.listeners import free_port, until
from tests.support.paths import ROOT

EXAMPLES = {"pacs", "ris"}
"""Destinations of the configuration's template, at whose addresses nobody listens."""

PATIENCE_S = 600
"""For a node that starts and reads on a busy machine."""


@dataclass(frozen=True)
class Installation:
    """A virtual environment that holds the wheel, and an empty folder to work in."""

    venv: Path
    folder: Path

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        command = (self.venv / "bin" / "dicom-node", *words)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=bare(), stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str | Path) -> tuple[int, str]:
        process = self.start(*words)
        said, _ = process.communicate()
        return process.returncode, said


def bare() -> Mapping[str, str]:
    """The environment without what leads to the checkout."""
    ours = ("PYTHON", "VIRTUAL_ENV", "DICOM_NODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def interpreters() -> Mapping[str, Path]:
    """The oldest and the newest Python here that may run the node."""
    found = {sys.version_info[:2]: Path(sys.executable)}
    for path in Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python3.*"):
        if named := re.fullmatch(r"python3\.(\d+)", path.name):
            found.setdefault((3, int(named[1])), path)
    known = sorted(version for version in found if version >= (3, 11))
    return {f"{major}.{minor}": found[major, minor] for major, minor in {known[0], known[-1]}}


def wheel() -> Path:
    """The wheel of this commit; without one a laptop skips."""
    for path in (ROOT / "build" / "dist").glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            if archive.read("dicom_node/share/commit").decode() == share.commit():
                return path
    words = "no wheel of this commit; run: make wheel"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="module", params=sorted(interpreters()))
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    path = wheel()
    made = Installation(tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("empty"))
    constraints = ("--constraint", ROOT / "constraints.txt")
    for command in (
        (interpreters()[request.param], "-m", "venv", made.venv),
        (made.venv / "bin" / "pip", "install", "--quiet", *constraints, f"{path}[cpu]"),
    ):
        subprocess.run(command, cwd=made.folder, env=bare(), check=True)
    return made


@pytest.fixture(scope="module")
def film(installation: Installation) -> Path:
    """A radiograph of the demo, which has run."""
    code, said = installation.run("demo")
    assert code == 0, said
    assert "URGENT" in said
    return installation.folder / "demo-out" / "sent" / "phantom-right.dcm"


def test_two_interpreters_are_there() -> None:
    if len(interpreters()) == 1 and os.environ.get("CI") != "true":
        pytest.skip("only one Python from 3.11 on")
    assert len(interpreters()) == 2


def test_it_says_its_version_and_commit(installation: Installation) -> None:
    commit = f" (commit {share.commit()})" if share.commit() else ""
    assert installation.run("--version") == (0, f"dicom-node {__version__}{commit}\n")


def test_an_image_is_analysed(installation: Installation, film: Path) -> None:
    code, said = installation.run("analyze", film, "--out", "out", "--json")
    assert code == 0, said
    finding = json.loads(said)["findings"][0]
    assert (finding["present"], finding["side"]) == ("present", "right")


def test_a_site_is_set_up(installation: Installation, film: Path) -> None:
    assert installation.run("init")[0] == 0
    config = installation.folder / "node.toml"
    port = free_port()
    for section, key, value in (
        ("node", "port", str(port)),
        ("console", "port", str(free_port())),
        ("receive", "unknown_callers", '"accept"'),
        ("receive", "min_free_gb", "0.1"),
    ):
        text = re.sub(
            rf"(?ms)(^\[{section}\].*?^{key} = )\S+", rf"\g<1>{value}", config.read_text()
        )
        config.write_text(text)
    code, said = installation.run("check", "-c", config)
    assert code == 1
    failed = re.findall(r"^FAILED  (\w+)", said, re.MULTILINE)
    assert set(failed) == EXAMPLES, said
    assert said.count("phantom") >= 6
    node = installation.start("run", "-c", config)
    try:
        to = ("--to", f"CXRAI@127.0.0.1:{port}")
        until(lambda: installation.run("send", film, *to)[0] == 0, "a receiver", PATIENCE_S)
        until(
            lambda: (
                json.loads(installation.run("status", "-c", config, "--json")[1])["analysed"] == 1
            ),
            "the reading",
            PATIENCE_S,
        )
    finally:
        node.send_signal(signal.SIGTERM)
        said, _ = node.communicate()
    assert node.returncode == 0, said
