"""Numbers in words: what is written never contradicts what was computed."""

from collections.abc import Callable

import numpy as np
import pytest

from dicom_node.domain.findings import Findings, OperatingPoint
from dicom_node.results import words


@pytest.mark.parametrize("threshold", [0.42, 0.058, 0.0533, 0.19149, 0.9996, 0.0004])
def test_probability_and_threshold_compare_as_they_do_unrounded(
    threshold: float, positive: Callable[..., Findings]
) -> None:
    near = threshold + np.array([-0.003, -0.0004, -0.00006, 0, 0.00006, 0.0004, 0.003])
    for value in (*near, 0.0004, 0.5, 0.9996):
        if 0 < value < 1:
            point = OperatingPoint("high_specificity", threshold, 0.9, 0.9)
            changed = positive(probability=float(value), operating_point=point)
            said, limit = words.probability_and_threshold(changed.findings[0])
            assert (float(said) >= float(limit)) == (value >= threshold), (value, said, limit)
            assert 0 < float(said) < 1
            assert abs(float(said) - value) <= 0.005
            assert len(said) >= 4


def test_names_of_operating_points_are_words(positive: Callable[..., Findings]) -> None:
    point = OperatingPoint("high_specificity", 0.5, 0.9, 0.9)
    assert words.judged_at(positive(operating_point=point).findings[0]) == "high specificity"
