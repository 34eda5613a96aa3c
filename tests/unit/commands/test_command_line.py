"""How commands are found, what they import, and where they look for their configuration."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node import __version__
from dicom_node.commands import cli, options
from tests.support.paths import ROOT

LIBRARIES = {"numpy", "pydicom", "pynetdicom", "sqlalchemy", "psycopg", "PIL", "requests", "scipy"}
RESULTS = {"highdicom", "reportlab", "hl7apy", "scipy", "dicomweb_client", "apscheduler"}
UNNAMED = {"cryptography", "obstore"}
"""For archives that are sealed or in an S3 store."""
CONSOLE = "[console]\nport = 8099\n"


def imported(code: str, *arguments: str | Path) -> set[str]:
    """The packages that a new Python holds after `code`."""
    ask = f"{code}\nimport json, sys\nprint(json.dumps([*sys.modules]))"
    command = [sys.executable, "-c", ask, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(ended.stdout.splitlines()[-1])}


def test_help_imports_no_library() -> None:
    help_of_all = "from dicom_node.commands import cli\nassert cli.main(['--help']) == 0"
    heavy = LIBRARIES | RESULTS | UNNAMED | {"pydantic", "structlog", "rich"}
    assert imported(help_of_all) & heavy == set()


def test_the_supervisor_imports_neither_dicom_nor_database(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(CONSOLE)
    supervised = (
        "import sys\n"
        "from dicom_node.commands import cli\n"
        "from dicom_node.process import supervisor\n"
        "supervisor.run_alone = lambda *_: 0\n"
        "supervisor.supervise = lambda *_: 0\n"
        "assert cli.main(['run', '-c', sys.argv[1]]) == 0"
    )
    heavy = LIBRARIES | RESULTS | UNNAMED
    assert imported(supervised, tmp_path / "node.toml") & heavy == set()


@pytest.mark.parametrize("role", ["receive", "orders", "dicomweb"])
def test_a_role_that_listens_imports_no_builder_of_results(role: str) -> None:
    heavy = RESULTS - ({"hl7apy"} if role == "orders" else set()) | UNNAMED
    assert imported(f"import dicom_node.roles.{role}") & heavy == set()


@pytest.mark.parametrize("module", ["roles.console", "commands.status"])
def test_who_looks_at_the_status_imports_no_dicom(module: str) -> None:
    heavy = RESULTS | {"pydicom", "pynetdicom", "obstore"}
    assert imported(f"import dicom_node.{module}") & heavy == set()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_says_what_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"Usage: dicom-node {name} ")
    assert cli.COMMANDS[name][1] in said


def test_a_configuration_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named, of_variable, usual = (tmp_path / name / "node.toml" for name in ("c", "v", "u"))
    monkeypatch.setattr(options, "USUAL", usual)
    monkeypatch.delenv(options.VARIABLE, raising=False)
    assert cli.main(["migrate"]) == 2
    assert options.VARIABLE in capsys.readouterr().err
    for path in (usual, of_variable, named):  # each goes before the one made earlier
        path.parent.mkdir()
        path.write_text(CONSOLE)
        if path is of_variable:
            monkeypatch.setenv(options.VARIABLE, str(path))
        assert cli.main(["migrate", *(["-c", str(path)] if path is named else [])]) == 0
        assert (path.parent / "var" / "node.db").exists()


def test_options_that_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(ROOT / "config" / "node.toml")
    for words in (
        ["retry", "-c", config],
        ["retry", "-c", config, "--job", "1", "--all-dead"],
        ["oru", "-c", config, "--to", "ris"],
        ["callers", "-c", config, "--approve", "A@h", "--forget", "A@h"],
        ["backfill", "-c", config, "--accession", "1", "--web", "cloud", "--move"],
        ["backfill", "-c", config, "--accession", "1", "--rate", "-1"],
        ["backfill", "-c", config, "--from", "yesterday", "--to", "today"],
    ):
        assert cli.main(words) == 2, words
        assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "wanted"), [("", "check"), ("re", "reanalyse"), ("models pro", "promote")]
)
def test_a_shell_completes_commands(typed: str, wanted: str) -> None:
    words = f"dicom-node {typed}"
    asked = {"_DICOM_NODE_COMPLETE": "bash_complete", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    said = subprocess.run(
        [sys.executable, "-m", "dicom_node"],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"plain,{wanted}" in said.splitlines()


def test_the_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    commit = r" \(commit [0-9a-f]{7,40}(-dirty)?\)" if (ROOT / ".git").exists() else ""
    assert re.fullmatch(rf"dicom-node {__version__}{commit}\n", capsys.readouterr().out)
