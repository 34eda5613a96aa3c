import pytest

from dicom_node.domain.views import NOT_FRONTAL, view_of


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("PA", "PA"),
        ("pa ", "PA"),
        ("PA ERECT", "PA"),
        ("P.A.", "PA"),
        ("PA\\PA", "PA"),
        ("Postero-Anterior", "PA"),
        ("posterior to anterior", "PA"),
        ("CHEST PA", "PA"),
        ("AP ERECT", "AP"),  # covid-chestxray-dataset, pull request 151
        ("Mobile AP Erect", "AP"),
        ("antero-posterior", "AP"),
        ("AP_SUPINE", "AP"),
        ("", ""),
        ("FRONTAL", ""),
        ("frontal chest", ""),
        ("ERECT", ""),
        ("PA/AP", ""),
        ("LL", "LL"),
        ("L.LAT", "LL"),
        ("LEFT LATERAL", "LATERAL"),
        ("PA AND LATERAL", "LATERAL"),
        ("AP LORDOTIC", "LORDOTIC"),
        ("lateral decubitus", "LATERAL"),
        ("STEHEND", "STEHEND"),
        ("PAT 1", "PAT 1"),
    ],
)
def test_view_of_free_text(words: str, view: str) -> None:
    assert view_of(words) == view


@pytest.mark.parametrize("view", ["PA", "AP", "", *sorted(NOT_FRONTAL)])
def test_a_view_is_the_view_of_itself(view: str) -> None:
    assert view_of(view) == view
