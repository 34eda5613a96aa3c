"""What is known of a radiograph's findings: how likely, how sure, who says so."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.datasets.nih import BOX_SIDE
from pipelines.datasets.record import ABNORMAL, FINDINGS, BoxLabel
from pipelines.datasets.tables import read_table

VOTE, ADJUDICATED, RSNA, RELABEL, TEXT, TEACHER = (
    "votes of radiologists",
    "adjudicated by radiologists",
    "RSNA's radiologists",
    "relabelled by a network",
    "text",
    "text and a network's probability",
)
"""Who says so; the first three are radiologists."""
WEIGHTS = {VOTE: 4.0, ADJUDICATED: 3.0, RSNA: 2.0, RELABEL: 1.0, TEXT: 1.0, TEACHER: 1.0}
"""How much a label counts in training, by its source."""

TEXT_ALONE, RELABEL_ALONE = 0.8, 0.5
"""Share of a finding that only text names, or only the relabel; both together: 1."""
TEXT_PRESENT, TEXT_ABSENT = 0.9, 0.05
"""Share of a finding by text where nobody relabelled."""
READ_PRESENT, READ_ABSENT = 0.9, 0.02
"""Share of a finding that radiologists answered with one yes or no."""
TEACHER_SHARE, TEACHER_POWER = 0.5, 0.7
"""How much a teacher counts beside the labels, and the power of its probability,
which lifts small ones: CheXNet's are low even where it is right."""

NO_VOTE = ("Pneumonia",)
"""A word that the voting radiologists hardly used: on 120 training films that RSNA's read
too, 19 had any vote for it. Silence says nothing there."""
NORMAL, OPACITY = "Normal", "Lung Opacity"
"""Two of RSNA's three classes; the third is "No Lung Opacity / Not Normal"."""
NODULE_OR_MASS = "Nodule_or_Mass"
FOUR = {
    "google4_opacity": "Opacity",
    "google4_pneumothorax": "Pneumothorax",
    "google4_nodule_or_mass": NODULE_OR_MASS,
    "google4_fracture": "Fracture",
}
"""Google's four adjudicated findings, by the table's columns."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One label of one radiograph."""

    share: float
    """How likely the finding is there, 0..1: a share of readers, or a belief."""
    weight: float
    """How much the label counts in training, 1 for a text-mined one."""
    source: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tables say of one radiograph and its findings."""

    text: Collection[str] = ()
    """Findings mined from the report."""
    relabelled: Collection[str] | None = None
    """Findings of a label cleaned by a network; None where there is none."""
    teacher: Mapping[str, float] = field(default_factory=dict)
    """CheXNet's probabilities, where the image was in its test set."""
    votes: Mapping[str, float] = field(default_factory=dict)
    """Share of five radiologists who see the finding."""
    adjudicated: Mapping[str, bool] = field(default_factory=dict)
    """Findings that radiologists agreed on."""
    rsna: str = ""
    """RSNA's class of the radiograph; empty where their radiologists did not read it."""
    opacities: tuple[BoxLabel, ...] = ()
    """RSNA's boxes of lung opacities, as pneumonia."""

    @property
    def by_radiologists(self) -> bool:
        """Whether a radiologist read this film for this purpose."""
        return bool(self.votes or self.adjudicated or self.rsna)


def read_readings(path: Path) -> dict[str, Reading]:
    """Read `nih_extra_labels.csv` by image; an absent table gives nothing."""
    if not path.is_file():
        return {}
    rows = read_table(path, ("image_id", "chexnext_relabel", "rsna_class", "rsna_boxes_1024"))
    return {row["image_id"]: _reading(row) for row in rows}


def _reading(row: Mapping[str, str]) -> Reading:
    relabel = row["chexnext_relabel"]
    boxes = json.loads(row["rsna_boxes_1024"] or "[]")
    return Reading(
        relabelled=frozenset(relabel.split("|")) if relabel else None,
        teacher=_numbers(row, "chexnet_"),
        votes={n: share for n, share in _numbers(row, "google_").items() if n not in NO_VOTE},
        adjudicated={name: row[column] == "1" for column, name in FOUR.items() if row[column]},
        rsna=row["rsna_class"],
        opacities=tuple(
            BoxLabel("Pneumonia", *(number / BOX_SIDE for number in box)) for box in boxes
        ),
    )


def _numbers(row: Mapping[str, str], prefix: str) -> dict[str, float]:
    return {name: float(row[prefix + name]) for name in FINDINGS if row[prefix + name]}


def read_by_radiologists(reading: Reading) -> dict[str, bool]:
    """Say what radiologists saw: at least half of the votes, RSNA's opacity for pneumonia."""
    seen = {name: share >= 0.5 for name, share in reading.votes.items()}
    seen |= {name: yes for name, yes in reading.adjudicated.items() if name == "Pneumothorax"}
    if reading.rsna:
        seen |= {"Pneumonia": reading.rsna == OPACITY, ABNORMAL: reading.rsna != NORMAL}
    return seen


def truths_of(reading: Reading) -> dict[str, Truth]:
    """Join what is known of each finding: radiologists over networks over text."""
    found = {name: _believed(reading, name) for name in FINDINGS}
    found[ABNORMAL] = max(found.values(), key=lambda truth: truth.share)
    if reading.rsna == NORMAL:
        found = {
            n: replace(truth, share=min(truth.share, READ_ABSENT)) for n, truth in found.items()
        }
    if reading.adjudicated.get(NODULE_OR_MASS) is False:
        found |= {name: _read(False, ADJUDICATED) for name in ("Nodule", "Mass")}
    if reading.adjudicated.get("Opacity") is False:
        found["Pneumonia"] = _read(False, ADJUDICATED)
    found |= {name: Truth(share, WEIGHTS[VOTE], VOTE) for name, share in reading.votes.items()}
    if "Pneumothorax" in reading.adjudicated:
        found["Pneumothorax"] = _read(reading.adjudicated["Pneumothorax"], ADJUDICATED)
    if reading.rsna:
        found["Pneumonia"] = _read(reading.rsna == OPACITY, RSNA)
        found[ABNORMAL] = _read(reading.rsna != NORMAL, RSNA)
    return found


def _believed(reading: Reading, name: str) -> Truth:
    """Weigh text, relabel and teacher of one finding."""
    told = name in reading.text
    if reading.relabelled is None:
        share, source = (TEXT_PRESENT if told else TEXT_ABSENT), TEXT
    else:
        again, source = name in reading.relabelled, RELABEL
        share = 1.0 if told and again else TEXT_ALONE * told + RELABEL_ALONE * again
    if name in reading.teacher:
        taught = reading.teacher[name] ** TEACHER_POWER
        share, source = share + TEACHER_SHARE * (taught - share), TEACHER
    return Truth(share, WEIGHTS[source], source)


def _read(present: bool, source: str) -> Truth:
    return Truth(READ_PRESENT if present else READ_ABSENT, WEIGHTS[source], source)
