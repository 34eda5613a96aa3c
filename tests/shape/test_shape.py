"""The repository's own promises: layout, documents, commands, keys."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

from dicom_node.domain.admission import Route
from dicom_node.domain.exchange.destinations import FhirDestination, StowDestination
from dicom_node.domain.study import HL7Destination, Peer
from dicom_node.settings.settings import Settings, load_settings
from docs.scripts.reference import commented_file
from tests.abuse.torture.__main__ import BEGIN, CAMPAIGNS, END, HEAD, TABLE
from tests.support.paths import ROOT


def test_models_are_no_python() -> None:
    assert [str(path) for path in (ROOT / "models").rglob("*.py")] == []


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_every_settings_key_is_in_the_commented_file() -> None:
    shown = tomllib.loads(commented_file())
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if hasattr(section, "model_fields"):
            assert set(shown[name]) == set(section.model_fields), name  # type: ignore[union-attr]
    for name, kind in (
        ("peers", Peer),
        ("hl7", HL7Destination),
        ("fhir", FhirDestination),
        ("stow", StowDestination),
        ("routes", Route),
    ):
        assert set(shown[name][0]) == {field.name for field in fields(kind)}, name


def test_the_commented_file_shows_the_defaults() -> None:
    shown = load_settings(ROOT / "config" / "node.toml")
    ours = Settings()
    for name in (
        "inference",
        "receive",
        "tls",
        "retention",
        "console",
        "logs",
        "pipelines",
        "reconcile",
    ):
        assert getattr(shown, name) == getattr(ours, name), name


def test_the_table_tells_what_every_campaign_counted() -> None:
    table = TABLE.read_text().partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    assert table[:2] == HEAD.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]
    assert len(rows) == len(CAMPAIGNS)
    for row, (name, (what, _)) in zip(rows, CAMPAIGNS.items(), strict=True):
        assert (row[0], f"ONLY={name} " in row[-1]) == (what, True)
        assert int(row[1]) > 0
        assert int(row[2]) > 0
        assert {*row[3:-1]} <= {"0", ""}


def test_make_lists_its_targets() -> None:
    said = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    for target in ("setup", "demo", "test", "check", "quick", "bench", "docs"):
        assert re.search(rf"^{target} ", said.stdout, re.MULTILINE), target


def test_every_exemption_has_its_reason() -> None:
    bare = re.compile(r"#\s*(noqa(: [A-Z0-9, ]+)?|type: ignore(\[[^\]]*\])?)\s*$", re.MULTILINE)
    for folder in ("dicom_node", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            found = bare.search(path.read_text())
            assert found is None, f"{path}: {found.group(0) if found else ''}"
