"""What a person changes by a command is in the trail, with who it was."""

import os
import pwd
import time
from base64 import b64decode
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.commands import cli
from dicom_node.settings.settings import Settings
from tests.support.audit import kinds, trail
from tests.support.challengers import challenger


def told(settings: Settings) -> list[str]:
    """Say what was done, by whom."""
    found = []
    for one in trail(Path(settings.audit.file)):
        detail = one.find(".//ParticipantObjectDetail")
        user = next(
            u for u in one.findall("ActiveParticipant") if u.get("UserIsRequestor") == "true"
        )
        found.append(f"{user.get('UserID')}: {b64decode(detail.get('value')).decode()}")
    return found


def test_a_caller_that_is_let_in_and_shut_out(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = node.open_parts(settings, migrate=True)
    parts.ledger.record_caller("XRAY7", "10.0.0.31", time.time())
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


def test_a_model_that_takes_over(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.open_parts(settings, migrate=True).close()
    other = challenger(tmp_path / "challenger", shift=0.1)
    more = ("-c", str(tmp_path / "node.toml"))
    assert cli.main(["models", "promote", "pneumothorax", "--force", *more]) == 2  # none yet
    assert cli.main(["models", "shadow", "pneumothorax", str(other), *more]) == 0
    assert cli.main(["models", "compare", "pneumothorax", *more]) == 0
    assert cli.main(["models", "promote", "pneumothorax", "--force", *more]) == 0
    assert cli.main(["models", "rollback", "pneumothorax", *more]) == 0
    actions = [words.partition(": ")[2].partition(":")[0] for words in told(settings)]
    assert actions == ["models shadow", "models promote", "models rollback"]
    assert "serves in place of" in told(settings)[1]
    kind = "Security Alert / Software Configuration"
    assert kinds(Path(settings.audit.file)) == [kind] * 3
