"""The printed page: its words in every script, its fonts, its picture."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    Side,
)
from dicom_node.domain.study import Radiograph
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import pdf
from dicom_node.results.page import fonts
from dicom_node.results.page.page import day, person

Built = Callable[..., Dataset]
Make = Callable[..., Findings]

POINT = OperatingPoint("balanced", 0.42, 0.88, 0.9)
NAMES = {  # character set, PatientName, what the page says
    "latin": ("ISO_IR 100", "Ångström^Zoë", "Ångström, Zoë"),
    "polish": ("ISO_IR 101", "Wałęsa^Żółć", "Wałęsa, Żółć"),
    "vietnamese": ("ISO_IR 192", "Nguyễn^Thị Hằng", "Nguyễn, Thị Hằng"),
    "greek": ("ISO_IR 126", "Διονυσιος^Άννα", "Διονυσιος, Άννα"),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг^Ёлка", "Люкceмбypг, Ёлка"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东", "Wang, XiaoDong (王 小东)"),
    "traditional": ("ISO_IR 192", "陳^美齡", "陳, 美齡"),
    "japanese": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "Yamada, Tarou (山田 太郎)",
    ),
    "kana": ("ISO_IR 192", "スズキ^はなこ", "スズキ, はなこ"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪 吉洞)"),
    "hangul": ("ISO_IR 192", "Kim=김^민준", "Kim (김 민준)"),
    "thai": ("ISO_IR 166", "สมชาย^ใจดี", "สมชาย, ใจดี"),
}


def page_of(ds: Dataset, folder: Path) -> Path:
    """Write the PDF of an object into a file."""
    content = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    path = folder / "page.pdf"
    path.write_bytes(content)
    return path


def words_of(path: Path) -> str:
    ran = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True)
    return " ".join(ran.stdout.decode().split())


def pages(path: Path) -> int:
    ran = subprocess.run(["pdfinfo", str(path)], capture_output=True, text=True, check=True)
    (count,) = re.findall(r"^Pages:\s+(\d+)$", ran.stdout, re.MULTILINE)
    return int(count)


def many(count: int, notes: int = 1) -> tuple[Findings, ...]:
    """Make as many findings as five pipelines give."""
    concepts = (codes.PNEUMOTHORAX, codes.ATELECTASIS, codes.CARDIOMEGALY)
    known = tuple(
        Finding(
            concepts[index % 3],
            Presence.PRESENT if index % 4 == 0 else Presence.ABSENT,
            0.61 if index % 4 == 0 else 0.1,
            POINT,
            codes.LUNG,
            uncertainty=0.03,
        )
        for index in range(count)
    )
    remarks = tuple(
        f"Limit {index} of a model that was trained on adults." for index in range(notes)
    )
    return tuple(
        Findings(Algorithm(name, "0.2.0", "cd" * 32), known if name == "a" else (), notes=remarks)
        for name in "abcde"
    )


@pytest.mark.peers
@pytest.mark.parametrize("script", NAMES)
def test_names_of_every_script_are_printed_with_embedded_fonts(
    script: str, built: Built, negative: Findings, tmp_path: Path
) -> None:
    charset, name, shown = NAMES[script]
    ds = built("pdf", (negative,), SpecificCharacterSet=charset, PatientName=name)
    path = page_of(ds, tmp_path)
    said = words_of(path)
    assert f"Patient {shown} " in said
    assert "no glyph" not in said
    listed = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True, check=True)
    rows = listed.stdout.splitlines()[2:]
    assert len(rows) >= 2
    for row in rows:  # name, type, encoding, then embedded, subset, unicode
        assert re.search(r"TrueType +WinAnsi +yes yes yes ", row), row


@pytest.mark.peers
def test_a_letter_without_glyph_is_owned_up_to(
    built: Built, negative: Findings, tmp_path: Path
) -> None:
    ds = built("pdf", (negative,), SpecificCharacterSet="ISO_IR 192", PatientName="Roe^𓀀Jane")
    said = words_of(page_of(ds, tmp_path))
    assert "Patient Roe, ?Jane" in said
    assert "1 characters of the patient's name or ID have no glyph here" in said


@pytest.mark.peers
def test_page_can_be_read(
    built: Built, positive: Make, negative: Findings, refused: Findings, tmp_path: Path
) -> None:
    ds = built("pdf", (positive(side=Side.LEFT, uncertainty=0.05),))
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    said = words_of(page_of(ds, tmp_path))
    for words in (
        "Pneumothorax - URGENT [1]",
        "PRESENT left 0.93 ± 0.05",
        "balanced 0.42: 0.88, 0.90",
        "Area 3373.9 mm²; a: maximal interpleural distance 47.8 mm; Size: large",
        "Patient Müller, Anna Patient ID PAT 7",
        "Born 1950-06-01 Study of 2024-01-02",
        "Sex F Accession number ACC1",
        "Klinik Süd, CXRAI",
        "AP view. Preliminary result of an algorithm",
        "AI - NOT FOR DIAGNOSTIC USE",
        "Image 1.2.826.0.1.3680043.8.498.1",
        "[1] pneumothorax 1.2.0, weights SHA-256 " + "ab" * 32,
    ):
        assert words in said
    said = words_of(page_of(built("pdf", (negative,)), tmp_path))
    assert "No finding detected" in said
    assert "Pneumothorax [1] not detected 0.03" in said
    why = words_of(page_of(built("pdf", (refused,), lambda header: None), tmp_path))
    assert "NOT ANALYSED" in why
    assert "Not analysed by pneumothorax: lateral view" in why
    assert "URGENT" not in why


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(300, 900), (900, 400), (700, 700)])
def test_what_five_pipelines_find_stands_on_one_page(
    shape: tuple[int, int],
    built: Built,
    radiograph: Callable[..., Radiograph],
    tmp_path: Path,
) -> None:
    ds = built("pdf", many(14, notes=3), lambda header: radiograph(header, shape))
    path = page_of(ds, tmp_path)
    assert pages(path) == 1
    assert "Limit 2 of" in words_of(path)


@pytest.mark.peers
def test_a_list_too_long_for_a_page_goes_on_overleaf(built: Built, tmp_path: Path) -> None:
    path = page_of(built("pdf", many(60)), tmp_path)
    said = words_of(path)
    assert pages(path) == 2
    assert said.count("AI - NOT FOR DIAGNOSTIC USE") == 2
    assert said.count("Finding Result Side Probability") == 2
    assert said.count("Atelectasis") == 20


@pytest.mark.peers
def test_page_shows_the_picture_and_the_scale(built: Built, positive: Make, tmp_path: Path) -> None:
    path = page_of(built("pdf", (positive(),)), tmp_path)
    ran = subprocess.run(
        ["pdftoppm", "-r", "72", "-png", "-singlefile", str(path)],
        capture_output=True,
        check=True,
    )
    shown = np.asarray(Image.open(BytesIO(ran.stdout)).convert("RGB")).astype(int)
    orange = (abs(shown - (230, 159, 0)).sum(axis=2) < 120).sum()
    assert orange > 100  # the contour
    dot = (abs(shown - (0x96, 0x3F, 0)).sum(axis=2) < 30).sum()
    assert 5 < dot < 200  # of the scale


def test_same_findings_give_the_same_page(
    source: Callable[..., Dataset],
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
) -> None:
    ds = source(SpecificCharacterSet="ISO_IR 192", PatientName="Yamada=山田")
    image = radiograph(ds)
    first = pdf.print_page(ExaminedImage(ds, image, (positive(),)), context)
    pdf.print_page(ExaminedImage(source(PatientName="Other"), image, (positive(),)), context)
    assert pdf.print_page(ExaminedImage(ds, image, (positive(),)), context) == first
    later = replace(context, made_at=context.made_at + 60)
    assert pdf.print_page(ExaminedImage(ds, image, (positive(),)), later) != first


def test_text_is_cut_into_runs_of_one_face() -> None:
    assert list(fonts.runs("Ab 山я")) == [
        ("NotoSans-Regular", "Ab "),
        ("DroidSansFallback", "山"),
        ("NotoSans-Regular", "я"),
    ]
    assert list(fonts.runs("e\u0301\n", fonts.BOLD)) == [("NotoSans-Bold", "é")]
    assert fonts.markup("a<b 山") == 'a&lt;b <font name="DroidSansFallback">山</font>'
    assert list(fonts.runs("")) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Doe^John^Q^Dr^Jr", "Doe, John Q Dr Jr"),
        ("Doe", "Doe"),
        ("^^", "-"),
        ("", "-"),
        ("=山田^太郎", "山田 太郎"),
        ("Doe^=", "Doe"),
    ],
)
def test_names_are_written_for_a_reader(name: str, shown: str) -> None:
    assert person(name) == shown


def test_dates_are_written_with_hyphens() -> None:
    assert [day(one) for one in ("19500601", "1993.02.24", "")] == ["1950-06-01", "1993.02.24", "-"]
