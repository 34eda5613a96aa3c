"""The containers and the unit run without privileges."""

import os
import shutil
import subprocess
from configparser import RawConfigParser
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it publishes no types

from dicom_node.process.supervisor import DRAIN_S
from tests.support.paths import ROOT

DOCKER, UNIT = ROOT / "docker", ROOT / "config" / "systemd" / "dicom-node.service"
EXPOSURE = 20
"""The most that systemd's own review may give, in tenths of its 0 to 10."""


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DOCKER / "compose.yaml").read_text())[
        "services"
    ]
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    joined = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def _of(name: str) -> list[str]:
    return [words for one, words in instructions() if one == name]


def test_the_image_runs_as_an_ordinary_user() -> None:
    assert int(_of("USER")[-1]) > 0  # a number, so that runAsNonRoot can tell


def test_the_image_installs_by_hash_and_then_fetches_nothing() -> None:
    for words in _of("RUN"):
        if "pip install" in words:
            assert {"--require-hashes"} <= {*words.split()} or {"--no-index", "--no-deps"} <= {
                *words.split()
            }
    assert _of("ADD") == []  # it may fetch


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = ROOT / "build" / "tools" / "bin" / "hadolint"
    if not hadolint.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("not installed: hadolint; run: make sbom")
        pytest.skip("not installed: hadolint; run: make sbom")
    command = [str(hadolint), "--no-color", str(DOCKER / "Dockerfile")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    copied = [words.split()[:-1] for words in _of("COPY") if "--from" not in words]
    for name in chain.from_iterable(copied):
        assert (ROOT / name).exists(), name
        assert name not in ignored


@pytest.mark.parametrize("name", ["node", "database", "orthanc"])
def test_every_container_is_without_privileges(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert not any("docker.sock" in str(one) for one in service.get("volumes", ()))
    assert service["ulimits"] == {"core": 0}


def test_node_and_database_cannot_write_their_images() -> None:
    for name in ("node", "database"):
        assert services()[name]["read_only"] is True
    assert "ports" not in services()["database"]


def test_containers_and_the_unit_wait_for_the_drain() -> None:
    grace = int(services()["node"]["stop_grace_period"].removesuffix("s"))
    assert min(grace, int(unit()["TimeoutStopSec"])) > DRAIN_S


def test_no_password_stands_in_a_file() -> None:
    words = "\n".join(path.read_text() for path in DOCKER.iterdir() if path.is_file())
    for line in words.splitlines():
        if "PASSWORD" in line.upper() and not line.lstrip().startswith("#"):
            assert ":?set a password}" in line, line


def unit() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


def test_systemd_finds_no_fault_and_little_exposure(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("not installed: systemd-analyze")
        pytest.skip("not installed: systemd-analyze")
    here = tmp_path / UNIT.name
    program = unit()["ExecStart"].split()[0]
    here.write_text(UNIT.read_text().replace(program, "/bin/true"))
    for command in (["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]):
        ended = subprocess.run(
            ["systemd-analyze", *command, str(here)], capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, ended.stdout[-500:] + ended.stderr
        assert "Unknown" not in ended.stderr  # a misspelt key is only a warning
