"""One finding, told to receivers that differ."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from dicom_node.domain.findings import CodedConcept
from dicom_node.results.example import example
from dicom_node.results.messages import oru
from tests.support.oru_messages import Say

STUDY = str(example()[0].StudyInstanceUID)


def named(message: list[list[str]], name: str) -> list[list[str]]:
    return [segment for segment in message if segment[0] == name]


@pytest.mark.parametrize(
    ("version", "kind", "structure"),
    [
        ("2.3.1", "CE", "ORU^R01"),
        ("2.4", "CE", "ORU^R01"),
        ("2.5", "CWE", "ORU^R01^ORU_R01"),
        ("2.5.1", "CWE", "ORU^R01^ORU_R01"),
    ],
)
def test_each_version_is_valid_and_says_the_same(
    version: str, kind: str, structure: str, say: Say
) -> None:
    message = say(version=version)
    assert (message[0][8], message[0][11]) == (structure, version)
    observed = named(message, "OBX")
    assert {one[2] for one in observed} == {"ST", kind, "NM", "TX"}
    assert ["36118008^Pneumothorax^SCT", "52101004^Present^SCT"] in [
        [one[3], one[5]] for one in observed
    ]
    assert "AI: pneumothorax suspected, right (p=0.93)." in [one[5] for one in observed]


def test_only_the_segments_that_the_receiver_takes_go_out(say: Say) -> None:
    assert {one[0] for one in say()} == {"MSH", "PID", "PV1", "ORC", "OBR", "OBX", "NTE"}
    short = say(segments=("PID", "OBR", "OBX"))
    assert {one[0] for one in short} == {"MSH", "PID", "OBR", "OBX"}
    assert {one[0] for one in say(segments=("OBR", "OBX"))} == {"MSH", "OBR", "OBX"}


def test_the_notice_arrives_without_nte_too(say: Say) -> None:
    short = say(segments=("PID", "OBR", "OBX"))
    (notice,) = [one for one in named(short, "OBX") if one[5] == oru.NOTICE]
    assert (notice[2], notice[3]) == ("TX", "121106^Comment^DCM")
    assert not [one for one in named(say(), "OBX") if one[5] == oru.NOTICE]


def test_the_receiver_s_codes_come_first_and_ours_beside(say: Say) -> None:
    codes = {
        "36118008": CodedConcept("PTX", "99RIS", "Pneumothorax, air | side"),
        "399208008": CodedConcept("RX-TH", "99RIS", "Thorax"),
        "122157": CodedConcept("PROB", "99RIS", "Likelihood"),
    }
    message = say(codes=codes)
    assert named(message, "OBR")[0][4] == "RX-TH^Thorax^99RIS^399208008^Plain chest X-ray^SCT"
    told = [one[3] for one in named(message, "OBX")]
    ours = "36118008^Pneumothorax^SCT"
    assert f"PTX^Pneumothorax, air \\F\\ side^99RIS^{ours}" in told
    assert "PROB^Likelihood^99RIS^122157^Probability^DCM" in told
    assert "27925004^Nodule^SCT" in told  # not mapped: as it is


@pytest.mark.parametrize(
    "changes", [{"zds": True}, {"segments": ("PID", "OBR", "OBX", "NTE", "ZDS")}]
)
def test_zds_names_the_study(changes: dict[str, object], say: Say) -> None:
    assert named(say(**changes), "ZDS") == [["ZDS", f"{STUDY}^100^Application^DICOM"]]
    assert not named(say(), "ZDS")


def test_the_pdf_report_goes_along(tmp_path: Path, say: Say) -> None:
    (told,) = [one for one in named(say(embed_pdf=True), "OBX") if one[2] == "ED"]
    assert told[3] == "18748-4^Diagnostic imaging report^LN"
    source, kind, subtype, encoding, content = told[5].split("^")
    assert (source, kind, subtype, encoding) == ("", "application", "pdf", "Base64")
    page = tmp_path / "page.pdf"
    page.write_bytes(base64.b64decode(content, validate=True))
    assert page.read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext"):
        ran = subprocess.run(["pdftotext", page, "-"], capture_output=True, text=True, check=True)
        assert "Pneumothorax" in ran.stdout
        assert "NOT FOR DIAGNOSTIC USE" in ran.stdout


def test_a_repeat_in_another_dialect_is_no_second_alert(say: Say) -> None:
    assert say(zds=True, version="2.4")[0][9] == say()[0][9]


@pytest.mark.parametrize("version", ["2.3.1", "2.4", "2.5", "2.5.1"])
def test_all_extras_together_are_valid_in_every_version(version: str, say: Say) -> None:
    own = {"36118008": CodedConcept("PTX", "99RIS", "Pneumothorax")}
    message = say(
        version=version,
        segments=("PID", "OBR", "OBX"),
        codes=own,
        zds=True,
        embed_pdf=True,
        charset="8859/1",
    )
    assert [one[0] for one in message][-1] == "ZDS"
    numbers = [int(one[1]) for one in named(message, "OBX")]
    assert numbers == list(range(1, len(numbers) + 1))
