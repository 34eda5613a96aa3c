"""Labels with their source: radiologists over networks over text."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.datasets.record import ABNORMAL, FINDINGS
from pipelines.datasets.truth import (
    ADJUDICATED,
    NODULE_OR_MASS,
    NORMAL,
    OPACITY,
    READ_ABSENT,
    RELABEL,
    RSNA,
    TEACHER,
    TEXT,
    VOTE,
    WEIGHTS,
    Reading,
    read_by_radiologists,
    read_readings,
    truths_of,
)

OTHER = "No Lung Opacity / Not Normal"
COLUMNS = [
    "image_id",
    "chexnext_relabel",
    *(f"google_{name}" for name in FINDINGS),
    "google4_opacity",
    "google4_pneumothorax",
    "google4_nodule_or_mass",
    "google4_fracture",
    "rsna_class",
    "rsna_boxes_1024",
    *(f"chexnet_{name}" for name in FINDINGS),
]


@pytest.mark.parametrize(
    ("text", "relabelled", "share", "source"),
    [
        (("Mass",), ("Mass", "Effusion"), 1.0, RELABEL),
        (("Mass",), ("none",), 0.8, RELABEL),
        ((), ("Mass",), 0.5, RELABEL),
        ((), ("none",), 0.0, RELABEL),
        (("Mass",), None, 0.9, TEXT),
        ((), None, 0.05, TEXT),
    ],
)
def test_text_and_relabel_together_say_more_than_either(
    text: tuple[str, ...], relabelled: tuple[str, ...] | None, share: float, source: str
) -> None:
    truth = truths_of(Reading(text, relabelled))["Mass"]
    assert (truth.share, truth.source) == (share, source)
    assert truth.weight == WEIGHTS[source]


def test_a_teacher_counts_half() -> None:
    taught = truths_of(Reading((), ("Mass",), {"Mass": 1.0, "Nodule": 0.0}))
    assert taught["Mass"].share == pytest.approx(0.75)
    assert taught["Mass"].source == TEACHER
    assert taught["Nodule"].share == 0
    assert taught["Hernia"].source == RELABEL


def test_radiologists_stand_over_what_networks_and_reports_say() -> None:
    reading = Reading(
        ("Mass", "Pneumothorax"),
        ("Mass", "Pneumothorax"),
        {"Mass": 0.9},
        votes={"Mass": 0.2, "Effusion": 0.8},
        adjudicated={"Pneumothorax": False, NODULE_OR_MASS: False},
        rsna=OPACITY,
    )
    truths = truths_of(reading)
    assert (truths["Mass"].share, truths["Mass"].source) == (0.2, VOTE)
    assert truths["Effusion"].share == 0.8
    assert truths["Effusion"].weight > truths["Hernia"].weight
    assert (truths["Nodule"].share, truths["Nodule"].source) == (READ_ABSENT, ADJUDICATED)
    assert (truths["Pneumothorax"].share, truths["Pneumothorax"].source) == (
        READ_ABSENT,
        ADJUDICATED,
    )
    assert truths["Pneumonia"].source == truths[ABNORMAL].source == RSNA
    assert truths["Pneumonia"].share > 0.5
    seen = read_by_radiologists(reading)
    assert seen == {
        "Mass": False,
        "Effusion": True,
        "Pneumothorax": False,
        "Pneumonia": True,
        ABNORMAL: True,
    }


def test_a_normal_film_has_nothing() -> None:
    reading = Reading(("Mass",), ("Effusion",), rsna=NORMAL)
    assert max(truth.share for truth in truths_of(reading).values()) <= READ_ABSENT
    assert truths_of(replace(reading, rsna=OTHER))["Mass"].share == 0.8


def test_anything_is_as_likely_as_the_likeliest_finding() -> None:
    assert truths_of(Reading(("Mass",), ("Mass",)))[ABNORMAL].share == 1
    assert truths_of(Reading((), ("Hernia",)))[ABNORMAL].share == 0.5
    assert truths_of(Reading((), ("none",)))[ABNORMAL].share == 0


def test_the_table_is_read_by_image(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "")
    row |= {
        "image_id": "00000001_000",
        "chexnext_relabel": "Mass|Nodule",
        "google_Effusion": "0.60",
        "google_Pneumonia": "0.00",
        "google4_opacity": "0",
        "rsna_class": OPACITY,
        "rsna_boxes_1024": '"[[256, 512, 128, 64]]"',
        "chexnet_Mass": "0.25",
    }
    path = tmp_path / "nih_extra_labels.csv"
    lines = [",".join(COLUMNS), ",".join(row[name] for name in COLUMNS)]
    path.write_text("\n".join(lines))
    (reading,) = read_readings(path).values()
    assert reading.relabelled == {"Mass", "Nodule"}
    assert reading.votes == {"Effusion": 0.6}  # nobody voted for the word pneumonia
    assert reading.adjudicated == {"Opacity": False}
    assert reading.teacher == {"Mass": 0.25}
    (box,) = reading.opacities
    assert (box.label, box.x, box.y, box.width, box.height) == (
        "Pneumonia",
        0.25,
        0.5,
        0.125,
        0.0625,
    )
    assert read_readings(tmp_path / "gone.csv") == {}
