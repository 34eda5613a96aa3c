from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from dicom_node.domain.exchange.substitution import SR_SOP_CLASSES, ObjectForm
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ObjectKind, ReportObject
from dicom_node.results.common import ExaminedImage, ReportContext, device_uid, tracking
from dicom_node.results.dicom import text_sr
from dicom_node.results.registry import BUILDERS

Make = Callable[..., Findings]
KINDS: tuple[ObjectKind, ...] = tuple(BUILDERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeat_has_the_same_uids_and_other_weights_have_others(
    kind: ObjectKind,
    source: Callable[..., Dataset],
    radiograph: Callable[..., Radiograph],
    positive: Make,
    make: Callable[..., ReportObject],
    context: ReportContext,
) -> None:
    def uids(ds: Dataset, *findings: Findings, made_at: float = 1.0) -> tuple[str, str]:
        made = make(kind, ds, radiograph(ds), findings, replace(context, made_at=made_at))
        return made.sop_instance_uid, made.series_uid

    ds, first = source(), positive()
    second = replace(first, algorithm=Algorithm("effusion", "1", "cd" * 32))
    retrained = replace(first, algorithm=Algorithm("pneumothorax", "1.2.0", "ef" * 32))
    once = uids(ds, first)
    assert uids(source(), positive(), made_at=2.0) == once
    assert uids(ds, first, second) == uids(ds, second, first) != once
    assert not set(uids(ds, retrained)) & set(once)
    other_image = uids(source(SOPInstanceUID="1.2.3.4"), first)
    assert other_image[0] != once[0]
    assert other_image[1] == once[1]  # same source series, same result series
    assert uids(source(SeriesInstanceUID="1.2.3.5"), first)[1] != once[1]


def test_refusal_and_reading_do_not_share_a_uid(
    source: Callable[..., Dataset], positive: Make, refused: Findings, context: ReportContext
) -> None:
    read = text_sr.build(ExaminedImage(source(), None, (positive(),)), context)
    declined = text_sr.build(ExaminedImage(source(), None, (refused,)), context)
    assert read.sop_instance_uid != declined.sop_instance_uid


def test_tracking_tells_findings_apart(source: Callable[..., Dataset], positive: Make) -> None:
    twice = replace(positive(), findings=positive().findings * 2)
    identifiers, uids = zip(*(tracking(source(), twice, index) for index in (0, 1)), strict=True)
    assert len(set(identifiers)) == len(set(uids)) == 2
    assert tracking(source(), positive(), 0)[1] == uids[0]


def test_new_weights_are_a_new_device() -> None:
    old, new = Algorithm("p", "1", "ab"), Algorithm("p", "1", "cd")
    assert device_uid(old) == device_uid(Algorithm("p", "2", "ab")) != device_uid(new)
    assert device_uid(old, new) == device_uid(new, old)


def test_class_of_every_kind_is_known_before_it_is_built(
    source: Callable[..., Dataset],
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
) -> None:
    ds = source()
    for kind, build in BUILDERS.items():
        for sr_class in SR_SOP_CLASSES:
            made = build(
                ExaminedImage(ds, radiograph(ds), (positive(),)),
                replace(context, sr_class=sr_class),
            )
            assert made is not None
            assert made.sop_class_uid == ObjectForm(kind, sr_class).sop_class_uid
