"""Millimetres: which spacing holds in which plane (PS3.3 10.7.1)."""

import pytest

from dicom_node.domain.study import Spacing
from dicom_node.formats.dicom.header import spacing
from tests.support.encoded import chest
from tests.support.headers import parse_bytes
from tests.support.raw_scu import EXPLICIT

PIXEL, TYPE = 0x00280030, 0x00280A02
IMAGER, NOMINAL, FACTOR = 0x00181164, 0x00182010, 0x00181114
ROWS, COLUMNS = 0x00280010, 0x00280011
SIDE = {tag: (b"US", (1900).to_bytes(2, "little")) for tag in (ROWS, COLUMNS)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({IMAGER: b"0.2\\0.1"}, Spacing(0.2, 0.1, "detector")),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"1.25"}, Spacing(0.16, 0.08, "patient")),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"0"}, Spacing(0.2, 0.1, "detector")),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"125"}, Spacing(0.16, 0.08, "patient")),  # per cent
        ({IMAGER: b"0.2\\0.1", FACTOR: b"0.5"}, None),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"30"}, None),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"-1"}, None),
        ({PIXEL: b"1\\1"}, None),  # a dummy: Weasis issue 465, dwv issue 1996
        ({PIXEL: b"1\\1", TYPE: b"FIDUCIAL"}, None),
        ({IMAGER: b"0.000143\\0.000143"}, None),  # in metres
        ({PIXEL: b"0.2\\1"}, None),
        ({PIXEL: b"0.05\\0.05"}, None),
        ({IMAGER: b"0.2\\0.1", FACTOR: b"x"}, Spacing(0.2, 0.1, "detector")),
        ({PIXEL: b"0.3\\0.3"}, Spacing(0.3, 0.3, "detector")),
        ({PIXEL: b"0.3\\0.3", TYPE: b"FIDUCIAL"}, Spacing(0.3, 0.3, "patient")),
        ({PIXEL: b"0.3\\0.3", FACTOR: b"1.2"}, Spacing(0.3, 0.3, "detector")),
        ({PIXEL: b"0.2\\0.2", IMAGER: b"0.2\\0.2"}, Spacing(0.2, 0.2, "detector")),
        ({PIXEL: b"0.20\\0.2", IMAGER: b"2e-1\\.2"}, Spacing(0.2, 0.2, "detector")),
        ({PIXEL: b"0.18\\0.18", IMAGER: b"0.2\\0.2"}, Spacing(0.18, 0.18, "patient")),
        (
            {PIXEL: b"0.18\\0.18", IMAGER: b"0.2\\0.2", FACTOR: b"2"},
            Spacing(0.18, 0.18, "patient"),
        ),
        (
            {PIXEL: b"0.2\\0.2", IMAGER: b"0.2\\0.2", TYPE: b"GEOMETRY"},
            Spacing(0.2, 0.2, "patient"),
        ),
        (
            {PIXEL: b"0.2\\0.2", IMAGER: b"0.2\\0.2", FACTOR: b"1.25"},
            Spacing(0.16, 0.16, "patient"),
        ),
        ({PIXEL: b"0.1\\0.1", NOMINAL: b"0.1\\0.1"}, Spacing(0.1, 0.1, "detector")),
        ({PIXEL: b"0.1\\0.1", NOMINAL: b"0.2\\0.2"}, Spacing(0.1, 0.1, "patient")),
        ({PIXEL: b"0\\0", IMAGER: b"0.2\\0.2"}, Spacing(0.2, 0.2, "detector")),
        ({PIXEL: b"0.3"}, None),
        ({PIXEL: b"0.3\\nan"}, None),
        ({PIXEL: b"-1\\-1"}, None),
        ({PIXEL: b"0,3\\0,3", IMAGER: b"0.2\\"}, None),
    ],
    ids=str,
)
def test_spacing(values: dict[int, bytes], expected: Spacing | None) -> None:
    elements = {tag: (b"CS" if tag == TYPE else b"DS", value) for tag, value in values.items()}
    found = spacing(parse_bytes(chest(SIDE | elements), EXPLICIT))
    if expected is None:
        assert found is None
        return
    assert found is not None and found.plane == expected.plane
    assert (found.row_mm, found.column_mm) == pytest.approx((expected.row_mm, expected.column_mm))
