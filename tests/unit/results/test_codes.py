"""The node's codes against pydicom's copy of PS3.16."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts  # pydicom publishes the table here alone

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept, Findings
from dicom_node.results.registry import BUILDERS

OUTSIDE = {
    "46621007": "Atelectasis",
    "8186001": "Cardiomegaly",
    "409609008": "Radiologic infiltrate",
    "233604007": "Pneumonia",
    "399208008": "Plain chest X-ray",
}
"""SNOMED CT concepts outside PS3.16's context groups, typed a second time."""
NOT_OF_THE_STANDARD = ("99CXRAI", "RFC5646")
"""Our own scheme, and that of languages."""


def every_concept() -> list[tuple[str, CodedConcept]]:
    return [(name, one) for name, one in vars(codes).items() if isinstance(one, CodedConcept)]


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
    if concept.scheme in NOT_OF_THE_STANDARD or concept.value == "{pixels}":  # a UCUM annotation
        assert not found
        return
    if not found:
        assert concept.meaning == OUTSIDE[concept.value]
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
