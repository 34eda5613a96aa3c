"""The node's codes against the project's own table and against pydicom's copy of PS3.16."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts  # pydicom publishes the table here alone

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept, Findings
from dicom_node.results.registry import BUILDERS

TABLE = {
    "PNEUMOTHORAX": ("36118008", "SCT", "Pneumothorax"),
    "ATELECTASIS": ("46621007", "SCT", "Atelectasis"),
    "CARDIOMEGALY": ("8186001", "SCT", "Cardiomegaly"),
    "PLEURAL_EFFUSION": ("60046008", "SCT", "Pleural effusion"),
    "RADIOLOGIC_INFILTRATE": ("409609008", "SCT", "Radiologic infiltrate"),
    "MASS": ("4147007", "SCT", "Mass"),
    "NODULE": ("27925004", "SCT", "Nodule"),
    "PNEUMONIA": ("233604007", "SCT", "Pneumonia"),
    "ABNORMAL": ("263654008", "SCT", "Abnormal"),
    "MORPHOLOGICALLY_ABNORMAL_STRUCTURE": (
        "49755003",
        "SCT",
        "Morphologically Abnormal Structure",
    ),
    "PLEURA": ("3120008", "SCT", "Pleura"),
    "LUNG": ("39607008", "SCT", "Lung"),
    "APEX_OF_LUNG": ("86598002", "SCT", "Apex of Lung"),
    "HEART": ("80891009", "SCT", "Heart"),
    "CHEST": ("816094009", "SCT", "Chest"),
    "LATERALITY": ("272741003", "SCT", "Laterality"),
    "RIGHT": ("24028007", "SCT", "Right"),
    "LEFT": ("7771000", "SCT", "Left"),
    "RIGHT_AND_LEFT": ("51440002", "SCT", "Right and left"),
    "PRESENT": ("52101004", "SCT", "Present"),
    "ABSENT": ("272519000", "SCT", "Absent"),
    "UNDETERMINED": ("373068000", "SCT", "Undetermined"),
    "PROBABILITY": ("122157", "DCM", "Probability"),
    "NO_UNITS": ("1", "UCUM", "no units"),
    "AREA": ("42798000", "SCT", "Area"),
    "DISTANCE": ("121206", "DCM", "Distance"),
    "MAXIMUM": ("56851009", "SCT", "Maximum"),
    "ARTIFICIAL_INTELLIGENCE": ("123110", "DCM", "Artificial Intelligence"),
    "ALGORITHM_NAME": ("111001", "DCM", "Algorithm Name"),
    "ALGORITHM_VERSION": ("111003", "DCM", "Algorithm Version"),
    "ALGORITHM_PARAMETERS": ("111002", "DCM", "Algorithm Parameters"),
    "IMAGING_MEASUREMENT_REPORT": ("126000", "DCM", "Imaging Measurement Report"),
    "IMAGE_LIBRARY": ("111028", "DCM", "Image Library"),
    "IMAGE_LIBRARY_GROUP": ("126200", "DCM", "Image Library Group"),
    "IMAGING_MEASUREMENTS": ("126010", "DCM", "Imaging Measurements"),
    "MEASUREMENT_GROUP": ("125007", "DCM", "Measurement Group"),
    "TRACKING_IDENTIFIER": ("112039", "DCM", "Tracking Identifier"),
    "TRACKING_UID": ("112040", "DCM", "Tracking Unique Identifier"),
    "FINDING": ("121071", "DCM", "Finding"),
    "FINDING_SITE": ("363698007", "SCT", "Finding Site"),
    "OBSERVER_TYPE": ("121005", "DCM", "Observer Type"),
    "DEVICE": ("121007", "DCM", "Device"),
    "DEVICE_UID": ("121012", "DCM", "Device Observer UID"),
    "LANGUAGE": ("121049", "DCM", "Language of Content Item and Descendants"),
    "PLAIN_CHEST_XRAY": ("399208008", "SCT", "Plain chest X-ray"),
    "VIEW_PA": ("272479007", "SCT", "postero-anterior"),
    "VIEW_AP": ("399348003", "SCT", "antero-posterior"),
    "SEGMENTATION": ("113076", "DCM", "Segmentation"),
    "SOURCE_IMAGE_FOR_PROCESSING": (
        "121322",
        "DCM",
        "Source image for image processing operation",
    ),
    "OF_INTEREST": ("113000", "DCM", "Of Interest"),
    "DIAGNOSTIC_IMAGING_REPORT": ("18748-4", "LN", "Diagnostic imaging report"),
    "CARDIOTHORACIC_RATIO": ("CTR", "99CXRAI", "Cardiothoracic ratio"),
}
"""STANDARDS.md section 1, typed here a second time."""
NOT_IN_PYDICOM = {
    # SNOMED CT concepts outside PS3.16's context groups, from STANDARDS.md
    *("46621007", "8186001", "409609008", "233604007", "399208008"),
    *("CTR", "en-US", "{pixels}"),  # private, RFC 5646, UCUM annotation
    *(
        "CARDIAC-D",
        "THORACIC-D",
        "LUNG-AREA-R",
        "LUNG-AREA-L",
        "HEMITHORAX-SHARE",
        "PROB-SD",
    ),  # private
}


def every_concept() -> list[tuple[str, CodedConcept]]:
    return [(name, one) for name, one in vars(codes).items() if isinstance(one, CodedConcept)]


@pytest.mark.parametrize("name", TABLE)
def test_code_is_that_of_the_table(name: str) -> None:
    concept = getattr(codes, name)
    assert (concept.value, concept.scheme, concept.meaning) == TABLE[name]


def test_no_value_means_two_things() -> None:
    values = [(one.scheme, one.value) for _, one in every_concept()]
    assert len(values) == len(set(values))


@pytest.mark.parametrize(("name", "concept"), every_concept())
def test_meaning_is_that_of_ps3_16(name: str, concept: CodedConcept) -> None:
    by_scheme: dict[str, Any] = concepts  # it publishes no types
    found = [
        meanings[concept.value][0]
        for meanings in by_scheme.get(concept.scheme, {}).values()
        if concept.value in meanings
    ]
    if concept.value in NOT_IN_PYDICOM:
        assert not found
        return
    mine = concept.meaning.lower()
    same = {"millimeter": "mm", "dicom study": "study"}.get(mine, mine)
    assert any(meaning.lower().startswith(same) for meaning in found), (name, found)


def written(ds: Dataset) -> Iterator[tuple[str, str, str]]:
    stack = [ds]
    while stack:
        one = stack.pop()
        if "CodeValue" in one:
            yield one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning
        stack += [item for element in one if element.VR == "SQ" for item in element.value]


def test_results_hold_no_code_from_elsewhere(
    built: Callable[..., Dataset], positive: Callable[..., Findings], negative: Findings
) -> None:
    known = {(one.value, one.scheme, one.meaning) for _, one in every_concept()}
    for kind in BUILDERS:
        ds = built(kind, (positive(), negative))
        found = set(written(ds))
        assert found
        assert found <= known
