"""What a person changes by a command is in the trail, with who it was."""

import os
import pwd
import time
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.commands import cli
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.callers import record_caller
from tests.support.audit import kinds, told


def test_a_caller_that_is_let_in_and_shut_out(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = node.open_parts(settings, migrate=True)
    record_caller(parts.engine, "XRAY7", "10.0.0.31", time.time())
    parts.close()
    command = ["callers", "-c", str(tmp_path / "node.toml")]
    assert cli.main([*command, "--approve", "XRAY7@10.0.0.31"]) == 0
    assert cli.main([*command, "--approve", "NOBODY@10.0.0.31"]) == 1
    assert cli.main([*command, "--forget", "XRAY7@10.0.0.31"]) == 0
    us = pwd.getpwuid(os.getuid()).pw_name
    assert told(settings) == [
        f"{us}: caller XRAY7@10.0.0.31 is served from now on",
        f"{us}: caller XRAY7@10.0.0.31 is forgotten from now on",
    ]
    assert set(kinds(Path(settings.audit.file))) == {"Security Alert / Security Configuration"}
