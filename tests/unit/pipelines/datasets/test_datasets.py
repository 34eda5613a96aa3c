"""Public data sets are read as they are published."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.domain.errors import BadSettings
from pipelines.chest_findings.cases import read_cases as read_findings
from pipelines.datasets.catalogue import detect, read_records
from pipelines.datasets.picture import open_grey, open_mask
from pipelines.datasets.record import Runs
from pipelines.datasets.rle import decode
from pipelines.pneumothorax.cases import read_cases as read_pneumothorax
from tests.support.published import COLUMNS, ROWS, grey, relative_runs, save, write_dicom


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_decoded_down_the_columns(seed: int) -> None:
    mask = np.random.default_rng(seed).random((ROWS, COLUMNS)) < 0.3
    assert (decode(Runs((relative_runs(mask),), ROWS, COLUMNS)) == mask).all()


def test_several_regions_are_one_mask_and_wrong_runs_are_named() -> None:
    parts = np.zeros((2, ROWS, COLUMNS), np.bool_)
    parts[0, 3:9, 4:6] = parts[1, 20:30, 20:25] = True
    texts = tuple(relative_runs(part) for part in parts)
    assert (decode(Runs(texts, ROWS, COLUMNS)) == parts.any(axis=0)).all()
    with pytest.raises(BadSettings, match="end at pixel 1300 of 1200"):
        decode(Runs(("1000 300",), ROWS, COLUMNS))


def test_siim_tells_masks_and_patients(siim: Path) -> None:
    assert detect(siim) == "siim"
    present, absent = read_pneumothorax(siim)
    assert (present.present, absent.present) == (True, False)
    assert present.patient_id == "SIIM-Pa"
    assert present.expert
    assert absent.mask is None
    assert present.mask is not None
    drawn = open_mask(present.mask)
    assert drawn.shape == (ROWS, COLUMNS)
    assert drawn[5:15, 2:8].all()
    assert drawn.sum() == 60
    first, _ = read_findings(siim)
    assert first.has("Pneumothorax")
    assert first.expert


def test_siim_errors_name_table_line_and_remedy(siim: Path) -> None:
    table = siim / "train-rle.csv"
    table.write_text("ImageId,EncodedPixels\na,1 2 3\n")
    with pytest.raises(BadSettings, match=r"train-rle\.csv, line 2.*pairs"):
        read_records(siim, "siim", ["Pneumothorax"])
    table.write_text("ImageId,EncodedPixels\nz,-1\n")
    with pytest.raises(BadSettings, match=r"none of the images of train-rle\.csv"):
        read_records(siim, "siim", ["Pneumothorax"])
    with pytest.raises(BadSettings, match=r"Data_Entry_2017.*missing"):
        read_records(siim, "nih", ["Mass"])


def test_rsna_boxes_are_shares_of_their_image(tmp_path: Path) -> None:
    table = tmp_path / "stage_2_train_labels.csv"
    table.write_text(
        "patientId,x,y,width,height,Target\n"
        "a,3.0,8.0,6.0,4.0,1\na,15.0,0.0,15.0,40.0,1\nb,,,,,0\nc,,,,,0\n"
    )
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(
        "patientId,class\na,Lung Opacity\nb,Normal\nc,No Lung Opacity / Not Normal\n"
    )
    for name in "abc":
        write_dicom(tmp_path / "stage_2_train_images" / f"{name}.dcm", grey(), name)
    assert detect(tmp_path) == "rsna"
    sick, normal, other = read_findings(tmp_path)
    boxes = [(box.x, box.y, box.width, box.height) for box in sick.boxes]
    assert boxes == [(0.1, 0.2, 0.2, 0.1), (0.5, 0.0, 0.5, 1.0)]
    told = [(one.has("Pneumonia"), one.has("Abnormal")) for one in (sick, normal, other)]
    assert told == [(True, True), (False, False), (False, True)]
    assert sick.age == "051Y"
    assert not sick.expert
    with pytest.raises(BadSettings, match="says nothing of Pneumothorax"):
        read_pneumothorax(tmp_path)
    table.write_text("patientId,x,y,width,height,Target\na,,,,,1\n")
    with pytest.raises(BadSettings, match=r"line 2.*no box"):
        read_findings(tmp_path)


def test_a_folder_per_class_keeps_patients_apart(tmp_path: Path) -> None:
    names = ["train/NORMAL/IM-0115-0001.jpeg", "test/NORMAL/NORMAL2-IM-0115-0001.jpeg"]
    names += [f"train/PNEUMONIA/person{n}_bacteria_{n}.jpeg" for n in range(40)]
    names += ["test/PNEUMONIA/person3_virus_9.jpeg", "test/PNEUMONIA/person99_virus_1.jpeg"]
    for name in names:
        save(tmp_path / name)
    assert detect(tmp_path) == "classes"
    cases = read_findings(tmp_path)
    splits = {case.image.name: case.split for case in cases}
    assert "IM-0115-0001.jpeg" not in splits  # the same child is tested
    assert "person3_bacteria_3.jpeg" not in splits
    assert splits["person3_virus_9.jpeg"] == "test"
    assert {case.split for case in cases} == {"train", "val", "test"}
    assert {case.source for case in cases} == {"child"}
    assert sum(case.has("Child_Pneumonia") for case in cases) == len(cases) - 1


def test_adults_classes_are_the_labels_they_name(tmp_path: Path) -> None:
    for name in ("No Finding/a.png", "Pleural thickening/b.png", "Pneumothorax/c.png"):
        save(tmp_path / name)
    normal, thick, collapsed = read_findings(tmp_path)
    assert not normal.has("Abnormal")
    assert thick.has("Pleural_Thickening")
    assert np.isnan(thick.labels[13])
    assert collapsed.has("Pneumothorax")
    present = [case.present for case in read_pneumothorax(tmp_path)]
    assert present == [False, True]


def test_an_unknown_folder_is_told_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no such folder"):
        detect(tmp_path / "gone")
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(BadSettings, match=r"Data_Entry.*EncodedPixels.*NORMAL/"):
        detect(tmp_path)


def test_inverted_and_windowed_dicom_is_shown_as_a_viewer_would(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (25, 1))
    write_dicom(tmp_path / "a.dcm", pixels, "P")
    write_dicom(tmp_path / "b.dcm", pixels, "P", PhotometricInterpretation="MONOCHROME1")
    write_dicom(tmp_path / "c.dcm", pixels, "P", WindowCenter="120", WindowWidth="40")
    plain, turned, window = (open_grey(tmp_path / f"{name}.dcm") for name in "abc")
    assert np.allclose(plain, pixels / 240.0, atol=1e-6)
    assert np.allclose(turned, 1 - plain, atol=1e-6)
    assert (window[:, :10] == 0).all()
    assert (window[:, 15:] == 1).all()
    deep = tmp_path / "deep.png"
    Image.fromarray(pixels.astype(np.uint16) * 200).save(deep)
    assert np.allclose(open_grey(deep), plain, atol=1e-6)


@pytest.fixture
def feedback(tmp_path: Path) -> Callable[..., Path]:
    """Write one corrected case, changed as a test asks."""

    def write(**changes: object) -> Path:
        write_dicom(tmp_path / "a.dcm", grey(), "P")
        mask = np.zeros((ROWS, COLUMNS), np.uint8)
        mask[4:8, 5:10] = 255
        Image.fromarray(mask).save(tmp_path / "a-mask.png")
        row: dict[str, object] = {
            "image": "a.dcm",
            "patient_id": "P1",
            "findings": {"Pneumothorax": "present", "Mass": "absent"},
            "mask": "a-mask.png",
            "boxes": [["Pneumothorax", 5, 4, 5, 4]],
            "reader": "AB",
            "read_at": "2026-11-20",
        } | changes
        row = {key: value for key, value in row.items() if value is not None}
        (tmp_path / "cases.jsonl").write_text("\n" + json.dumps(row) + "\n")
        return tmp_path

    return write


def test_a_corrected_case_is_an_experts(feedback: Callable[..., Path]) -> None:
    folder = feedback()
    assert detect(folder) == "feedback"
    (case,) = read_pneumothorax(folder)
    assert (case.present, case.expert, case.view) == (True, True, "PA")
    assert case.mask is not None
    assert open_mask(case.mask).sum() == 20
    (found,) = read_findings(folder)
    assert not found.has("Mass")
    assert np.isnan(found.labels[0])
    assert found.boxes[0].x == pytest.approx(5 / COLUMNS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reader": None}, "reader is missing"),
        ({"colour": "red"}, "colour is unknown"),
        ({"image": "../a.dcm"}, "no such file below"),
        ({"image": "gone.png"}, "no such file below"),
        ({"findings": {"Fracture": "present"}}, "'Fracture' is unknown"),
        ({"findings": {"Mass": "maybe"}}, 'want "present" or "absent"'),
        ({"findings": {"Pneumothorax": "absent"}}, "a mask needs"),
        ({"read_at": "yesterday"}, "want a date"),
        ({"boxes": [["Mass", 1, 2, 3]]}, "left, top, width, height"),
        ({"patient_id": ""}, "patient_id must be a text"),
    ],
)
def test_a_wrong_line_is_named(
    feedback: Callable[..., Path], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(BadSettings, match=rf"cases\.jsonl, line 2: .*{words}"):
        read_findings(feedback(**changes))
