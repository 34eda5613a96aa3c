"""The tables of radiographs to learn from, ours and the NIH's own."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.chest_findings.cases import Case, read_cases
from pipelines.chest_findings.codes import CHILD_PNEUMONIA, MINED, SCORES

ENTRIES = """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],
00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA,2682,2749,0.143,0.143,
00000002_000.png,No Finding,0,2,81,F,AP,2500,2048,0.171,0.171,
00000003_000.png,Hernia,0,3,74,F,PA,2500,2048,0.168,0.168,
"""
BOXES = """\
Image Index,Finding Label,Bbox [x,y,w,h],,,
00000001_000.png,Cardiomegaly,256,512,128,64,,,
00000001_000.png,Infiltrate,0,0,1024,1024,,,
"""


def nih_cases(folder: Path) -> tuple[Case, ...]:
    return read_cases(folder, "nih")


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    (tmp_path / "Data_Entry_2017.csv").write_text(ENTRIES)
    (tmp_path / "BBox_List_2017.csv").write_text(BOXES)
    folder = tmp_path / "images_001" / "images"
    folder.mkdir(parents=True)
    for name in ("00000001_000.png", "00000002_000.png"):
        (folder / name).write_bytes(b"")
    return tmp_path


def test_the_nih_tables_are_read_as_published(nih: Path) -> None:
    first, second = nih_cases(nih)
    assert first.patient_id == "NIH-00000001"
    assert first.has("Cardiomegaly")
    assert first.has("Effusion")
    assert first.has("Abnormal")
    assert not first.has("Mass")
    assert [box.label for box in first.boxes] == ["Cardiomegaly", "Infiltration"]
    box = first.boxes[0]
    assert (box.x, box.y, box.width, box.height) == (0.25, 0.5, 0.125, 0.0625)
    assert second.labels[SCORES.index("Abnormal")] == 0
    assert second.view == "AP"
    assert np.isnan(second.labels[SCORES.index(CHILD_PNEUMONIA)])


def test_the_official_test_list_makes_the_test_split(nih: Path) -> None:
    (nih / "test_list.txt").write_text("00000002_000.png\n")
    first, second = nih_cases(nih)
    assert first.split in ("train", "val")
    assert second.split == "test"


def test_missing_nih_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"Data_Entry_2017\*\.csv is missing"):
        nih_cases(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text(ENTRIES)
    with pytest.raises(BadSettings, match="none of the images"):
        nih_cases(tmp_path)


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"manifest\.csv"):
        read_cases(tmp_path)


@pytest.mark.data
def test_no_patient_is_in_two_splits(shared: Path) -> None:
    split_of: dict[str, set[str]] = {}
    for case in read_cases(shared):
        if case.seen:
            continue  # named by the table, and reported apart
        split_of.setdefault(case.patient_id, set()).add(case.split)
    assert max(len(splits) for splits in split_of.values()) == 1


@pytest.mark.data
def test_every_source_has_what_it_should(shared: Path) -> None:
    cases = read_cases(shared)
    assert {case.source for case in cases} == {"full", "small", "child"}
    assert sum(len(case.boxes) for case in cases) == 778
    for case in cases:
        known = {name for name, value in zip(SCORES, case.labels, strict=True) if value == value}
        wanted = {CHILD_PNEUMONIA} if case.source == "child" else {*MINED, "Abnormal"}
        assert known == wanted
        for box in case.boxes:
            assert 0 <= box.x < box.x + box.width <= 1.01
            assert 0 <= box.y < box.y + box.height <= 1.01
