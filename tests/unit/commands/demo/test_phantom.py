"""The phantom as a modality would send it."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.admission import Route, admit
from dicom_node.formats.dicom.header import describe
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from tests.support.validators import errors_of

SIZE = {"rows": 512, "columns": 512}


@pytest.mark.peers
def test_the_phantom_is_a_valid_dx_object(tmp_path: Path) -> None:
    path = tmp_path / "phantom.dcm"
    phantom_dx(1, made_at=1.7e9, **SIZE).save_as(path, enforce_file_format=True)
    assert errors_of(path) == set()


def test_the_default_route_reads_it_and_air_is_dark(tmp_path: Path) -> None:
    ds = phantom_dx(1, made_at=1.7e9, **SIZE)
    assert admit(describe(ds), "XRAY1", (Route("chest"),)).jobs
    ds.save_as(tmp_path / "phantom.dcm", enforce_file_format=True)
    pixels = read_radiograph(tmp_path / "phantom.dcm")[1].pixels
    rows, columns = pixels.shape
    lung = pixels[rows * 2 // 5, columns // 4]
    spine = pixels[rows * 2 // 3, columns // 2]
    assert lung < 0.5 < spine


def test_the_same_arguments_give_the_same_object() -> None:
    first, second = (phantom_dx(2, "left", made_at=1.7e9, **SIZE) for _ in range(2))
    assert first == second
    other = phantom_dx(3, "left", made_at=1.7e9, **SIZE)
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert not np.array_equal(other.pixel_array, first.pixel_array)
