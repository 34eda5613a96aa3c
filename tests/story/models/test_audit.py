"""A model that takes over is in the audit trail."""

from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.commands import cli
from dicom_node.settings.settings import Settings
from tests.support.audit import kinds, settings, told
from tests.support.challengers import challenger

__all__ = ["settings"]


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
