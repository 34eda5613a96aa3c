"""The tables of radiographs to learn from."""

from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
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
