"""`dicom-node oru --example`: a receiver's message without a database."""

from pathlib import Path

import pytest

from dicom_node.commands import cli
from dicom_node.domain.errors import GiveUp
from dicom_node.formats.hl7.segments import judge
from tests.support.oru_messages import HEAD


def test_the_example_needs_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(HEAD + 'version = "2.4"\nzds = true\nembed_pdf = true\n')
    assert cli.main(["oru", "-c", str(config), "--example", "--to", "ris"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("MSH|^~\\&|CXRAI|") and "|ORU^R01|" in lines[0]
    assert any(line.startswith("ZDS|2.25.") for line in lines)
    assert any("^application^pdf^Base64^" in line for line in lines)
    assert shown.err.strip() == "valid HL7 2.4 (strict)"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.toml"]


def test_a_receiver_or_a_study_must_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(HEAD)
    assert cli.main(["oru", "-c", str(config), "--example", "--to", "pacs"]) == 2
    assert "no such [[hl7]] or [[fhir]]; known are: ris" in capsys.readouterr().err
    assert cli.main(["oru", "-c", str(config), "--to", "ris"]) == 2


def test_an_invalid_message_is_no_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(HEAD)
    cli.main(["oru", "-c", str(config), "--example", "--to", "ris"])
    good = capsys.readouterr().out.replace("\n", "\r").strip("\r") + "\r"
    assert judge(good) == "valid HL7 2.5.1 (strict)"
    with pytest.raises(GiveUp, match=r"no valid HL7 2\.5\.1"):
        judge(good.replace("OBR|1|", "OBR|one|"))
    with pytest.raises(GiveUp):
        judge("\r".join(line for line in good.split("\r") if not line.startswith("OBR")))
