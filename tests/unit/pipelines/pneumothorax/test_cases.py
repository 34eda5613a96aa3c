"""The tables of radiographs to learn from."""

from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.record import FINDINGS
from pipelines.datasets.truth import FOUR
from pipelines.pneumothorax.cases import read_cases


@pytest.mark.data
def test_no_patient_is_in_two_splits(shared: Path) -> None:
    split_of: dict[str, set[str]] = {}
    for case in read_cases(shared):
        split_of.setdefault(case.patient_id, set()).add(case.split)
    assert max(len(splits) for splits in split_of.values()) == 1


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"manifest\.csv"):
        read_cases(tmp_path)


MANIFEST = """\
file,mask,image_id,patient_id,split,pneumothorax,label_source,nih_labels,view,chest_tube,\
chexnet_pneumothorax
full/a.jpg,,a,NIH-1,train,0,nih_text,No Finding,PA,,
full/b.jpg,,b,NIH-2,train,0,nih_text,No Finding,PA,,
full/c.jpg,,c,NIH-3,val,0,nih_text,No Finding,PA,,
full/d.jpg,,d,NIH-4,train,0,siim,No Finding,PA,,
"""
EXTRA = """\
image_id,chexnext_relabel,rsna_class,rsna_boxes_1024
a,Pneumothorax|Effusion,,
b,none,,
c,Pneumothorax,,
d,Pneumothorax,,
"""
STAGE2 = """\
file,image_id,same_radiograph_as,patient_id,split,weak_probability
stage2/e.jpg,e,,,train,0.9
stage2/f.jpg,f,,,train,0.01
stage2/g.jpg,g,,,train,0.9
stage2/h.jpg,h,a,NIH-1,train,0.9
stage2/i.jpg,i,b,NIH-2,train,0.01
"""
SEGMENTED = """\
image_id,mask,agreement
e,stage2_masks/e.png,positive
f,,negative
g,stage2_masks/g.png,unsure
h,stage2_masks/h.png,positive
i,,negative
"""


def tables(folder: Path, **texts: str) -> Path:
    (folder / "cxr").mkdir()
    for name, text in texts.items():
        # The votes and probabilities of this table are all empty here.
        lines = text.splitlines()
        if name == "nih_extra_labels":
            heads = [f"{who}_{one}" for who in ("google", "chexnet") for one in FINDINGS]
            heads += list(FOUR)
            blank = "," * len(heads)
            lines = [f"{lines[0]},{','.join(heads)}", *(line + blank for line in lines[1:])]
        (folder / "cxr" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_flagged_reports_do_not_teach_an_absence(tmp_path: Path) -> None:
    folder = tables(tmp_path, manifest=MANIFEST, nih_extra_labels=EXTRA, stage2=STAGE2)
    kept = {case.image.stem for case in read_cases(folder) if case.image.parent.name == "full"}
    assert kept == {"b", "c", "d"}  # validation and radiologists stay as they are


def test_stage_2_teaches_where_two_networks_agree(tmp_path: Path) -> None:
    folder = tables(
        tmp_path,
        manifest=MANIFEST,
        nih_extra_labels=EXTRA,
        stage2=STAGE2,
        stage2_segmentation=SEGMENTED,
    )
    found = {case.image.stem: case for case in read_cases(folder) if case.source == "agreed"}
    assert set(found) == {"e", "f", "h"}
    assert found["e"].present
    assert found["e"].mask == folder / "cxr" / "stage2_masks" / "e.png"
    assert not found["f"].present
    assert found["f"].mask is None


def test_without_masks_the_classifier_labels_stage_2(tmp_path: Path) -> None:
    folder = tables(tmp_path, manifest=MANIFEST, stage2=STAGE2)
    found = {case.image.stem: case.present for case in read_cases(folder) if case.source == "weak"}
    assert found == {"e": True, "f": False, "g": True}
