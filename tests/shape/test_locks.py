"""What is installed is named, by version and hash, and by nobody's address."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dicom_node import __version__
from tests.support.paths import ROOT

LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)(?: ; [^\\]+)? \\$")
AGAIN = "run: make lock"


def locked(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Read a lock: version and hashes by name; fails on any other line."""
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("    --hash=sha256:"):
            found[name][1].append(line.split(":")[1].removesuffix(" \\"))
            continue
        pinned = PINNED.match(line)
        assert pinned, f"{path.name}: {line}"
        name = canonicalize_name(pinned[1])
        found[name] = (pinned[2], [])
    return found


def constraints() -> dict[str, str]:
    pairs = [line.split("==") for line in (ROOT / "constraints.txt").read_text().split()]
    return {canonicalize_name(name): version for name, version in pairs}


def wanted(extra: str) -> set[str]:
    """What pyproject.toml asks for by name, with one extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][extra]]
    lines += project["optional-dependencies"]["build"]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_all_three_locks_are_there() -> None:
    assert [path.stem for path in LOCKS] == ["cpu", "gpu", "tools"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_package_has_its_hashes(path: Path) -> None:
    packages = locked(path)
    assert len(packages) > 30
    for name, (_, hashes) in packages.items():
        assert hashes, name
        assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes), name


@pytest.mark.parametrize("path", [*LOCKS, ROOT / "constraints.txt"], ids=lambda path: path.stem)
def test_no_registry_is_named(path: Path) -> None:
    words = path.read_text()
    assert "://" not in words
    assert not re.search(r"--(extra-)?index|--find-links|--trusted-host", words)


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_the_locks_hold_what_the_project_asks_for(extra: str) -> None:
    packages = locked(ROOT / "locks" / f"{extra}.txt")
    assert wanted(extra) - set(packages) == set(), AGAIN
    known = constraints()
    other = {
        name: (version, known[name])
        for name, (version, _) in packages.items()
        if name in known and known[name] != version
    }
    assert other == {}, AGAIN


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_the_bill_of_materials_names_every_package(extra: str) -> None:
    path = ROOT / "build" / f"sbom-{extra}.cdx.json"
    lock = ROOT / "locks" / f"{extra}.txt"
    if not path.exists() or path.stat().st_mtime < lock.stat().st_mtime:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no fresh {path.name}; run: make sbom")
        pytest.skip(f"no fresh {path.name}; run: make sbom")
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    described = bill["metadata"]["component"]
    assert (described["name"], described["version"]) == ("dicom-node", __version__)
    listed = {str(canonicalize_name(one["name"])): one for one in bill["components"]}
    assert set(listed) == set(locked(lock))
    for name, (version, hashes) in locked(lock).items():
        one = listed[name]
        assert one["version"] == version
        assert one["purl"].startswith(f"pkg:pypi/{name}@")
        told = [ref["hashes"] for ref in one.get("externalReferences", ()) if "hashes" in ref]
        assert {entry["content"] for entry in told[0]} == set(hashes), name
