"""`dicom-node oru`: the message of a stored study, without sending it."""

from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.commands import cli
from dicom_node.storage.database.schema import deliveries, objects, results
from tests.support.node import CONFIGURATION, MakeNode, Node

RIS = """
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = 2575
receiving_application = "RIS"
receiving_facility = "HOSP"
allow_empty_patient_id = true
"""


def show(node: Node, study: str, to: str = "ris") -> int:
    return cli.main(["oru", "-c", str(node.config), "--study", study, "--to", to])


def test_the_message_of_a_stored_study_is_shown_and_nothing_is_kept(
    make_node: MakeNode, phantoms: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    node = make_node(CONFIGURATION + RIS)
    node.receive(phantoms["right"])
    study = str(dcmread(phantoms["right"], stop_before_pixels=True).StudyInstanceUID)
    assert show(node, study) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("MSH|^~\\&|CXRAI|")
    assert "|RIS|HOSP|" in lines[0]
    assert any(line.startswith("OBX|2|CWE|36118008^Pneumothorax^SCT|1|52101004") for line in lines)
    assert any("pneumothorax suspected, right" in line for line in lines)
    for table in (objects, deliveries, results):
        assert node.rows(table) == []


def test_what_cannot_be_shown_is_said(
    make_node: MakeNode,
    phantoms: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = make_node(CONFIGURATION + RIS)
    assert show(node, "1.2.3", "pacs") == 2
    assert "no such [[hl7]] or [[fhir]]; known are: ris" in capsys.readouterr().err
    assert show(node, "1.2.3") == 1
    assert "study 1.2.3: no image of it is stored" in capsys.readouterr().err
    ds = dcmread(phantoms["none"])
    ds.ViewPosition = "LL"
    ds.save_as(tmp_path / "lateral.dcm", enforce_file_format=True)
    node.receive(tmp_path / "lateral.dcm")
    assert show(node, str(ds.StudyInstanceUID)) == 1
    assert "view LL, not frontal" in capsys.readouterr().err
