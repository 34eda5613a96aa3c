from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Algorithm, Box, Finding, Findings, Side
from dicom_node.domain.study import Radiograph, SRClass
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import seg, sr

Built = Callable[..., Dataset]
Make = Callable[..., Findings]
Tree = Callable[..., list[Dataset]]


def numbers(tree: Tree, ds: Dataset, concept: str) -> list[tuple[float, str]]:
    return [
        (
            float(one.MeasuredValueSequence[0].NumericValue),
            one.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for one in tree(ds, "NUM", concept)
    ]


def coordinates(tree: Tree, ds: Dataset) -> list[list[float]]:
    return [list(one.GraphicData) for one in tree(ds, "SCOORD")]


def test_positive_says_everything(built: Built, positive: Make, tree: Tree) -> None:
    ds = built("sr", (positive(),))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    presence = tree(ds, "CODE", "36118008")
    assert [one.ConceptCodeSequence[0].CodeValue for one in presence] == ["52101004"]
    assert numbers(tree, ds, "122157") == [(0.93, "1")]
    assert numbers(tree, ds, "42798000") == [(3373.9, "mm2")]
    assert numbers(tree, ds, "121206") == [(47.8, "mm")]
    sides = tree(ds, "CODE", "272741003")
    assert {one.ConceptCodeSequence[0].CodeMeaning for one in sides} == {"Right"}
    assert {one.TextValue for one in tree(ds, "TEXT", "111001")} == {"pneumothorax"}
    parameters = " ".join(one.TextValue for one in tree(ds, "TEXT", "111002"))
    assert "threshold 0.42" in parameters
    assert "ab" * 32 in parameters
    comments = [one.TextValue for one in tree(ds, "TEXT", "121106")]
    assert {
        "Pneumothorax: PRESENT, right, URGENT",
        "AP view",
        "AI - NOT FOR DIAGNOSTIC USE",
    } <= set(comments)
    assert any("BTS" in one for one in comments)


def test_an_ensemble_says_how_far_it_disagrees(built: Built, positive: Make, tree: Tree) -> None:
    ds = built("sr", (positive(uncertainty=0.1234),))
    assert numbers(tree, ds, "PROB-SD") == [(0.1234, "1")]
    assert numbers(tree, built("sr", (positive(),)), "PROB-SD") == []


def test_document_is_preliminary_and_unverified(built: Built, positive: Make) -> None:
    ds = built("sr", (positive(),))
    flags = (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_line_is_column_row_of_the_source(built: Built, positive: Make, tree: Tree) -> None:
    ds = built("sr", (positive(),))
    (line,) = tree(ds, "SCOORD")
    measured = positive().findings[0].measurements[1].line
    assert measured is not None
    (row, column), (other_row, other_column) = measured
    assert list(line.GraphicData) == [column, row, other_column, other_row]
    assert line.RelationshipType == "INFERRED FROM"
    (image,) = line.ContentSequence
    assert image.RelationshipType == "SELECTED FROM"
    assert image.ConceptNameCodeSequence[0].CodeMeaning == "Source"
    reference = image.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"


def test_one_tracking_uid_joins_segment_and_groups(
    built: Built, positive: Make, tree: Tree
) -> None:
    groups = tree(built("sr", (positive(),)), "CONTAINER", "125007")
    assert [one.ContentTemplateSequence[0].TemplateIdentifier for one in groups] == ["1501", "1410"]
    tracked = {tree(one, "UIDREF", "112040")[0].UID for one in groups}
    segment = built("seg", (positive(),)).SegmentSequence[0]
    assert tracked == {segment.TrackingUID}
    assert not tree(groups[1], "SCOORD")  # TID 1410 allows no coordinates beside the segment


def test_refers_to_the_segment_by_number_alone(built: Built, positive: Make, tree: Tree) -> None:
    ds = built("sr", (positive(),))
    (frame,) = tree(ds, "IMAGE", "121214")
    reference = frame.ReferencedSOPSequence[0]
    of = built("seg", (positive(),))
    assert reference.ReferencedSOPInstanceUID == of.SOPInstanceUID
    assert reference.ReferencedSegmentNumber == 1
    assert "ReferencedFrameNumber" not in reference
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [one.SeriesInstanceUID for one in evidence] == ["1.2.826.0.1.3.1", of.SeriesInstanceUID]


def test_without_seg_the_sizes_stay(
    source: Callable[..., Dataset],
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    tree: Tree,
) -> None:
    header = source()
    alone = replace(context, references_seg=False)
    made = sr.build(ExaminedImage(header, radiograph(header), (positive(),)), alone)
    ds = pydicom.dcmread(BytesIO(made.content))
    assert not tree(ds, "IMAGE", "121214")
    assert numbers(tree, ds, "42798000") == [(3373.9, "mm2")]
    assert len(ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == 1
    with_seg = sr.build(ExaminedImage(header, radiograph(header), (positive(),)), context)
    assert with_seg.sop_instance_uid != made.sop_instance_uid


def test_negative_is_inferred_from_the_whole_image(
    built: Built, negative: Findings, tree: Tree
) -> None:
    ds = built("sr", (negative,))
    presence = tree(ds, "CODE", "36118008")
    assert [one.ConceptCodeSequence[0].CodeValue for one in presence] == ["272519000"]
    (probability,) = tree(ds, "NUM", "122157")
    assert coordinates(tree, probability) == [[0, 0, 513, 0, 513, 401, 0, 401, 0, 0]]
    assert not tree(ds, "CODE", "272741003")


def test_region_without_line_is_inferred_from_its_bounds(
    built: Built, positive: Make, tree: Tree
) -> None:
    findings = positive(measurements=())
    ds = built("sr", (findings,))
    # mask_at: rows 50 to 199, columns 64 to 256
    assert coordinates(tree, ds) == [[64, 50, 257, 50, 257, 200, 64, 200, 64, 50]]


def test_boxes_become_coordinates(built: Built, positive: Make, tree: Tree) -> None:
    boxes = (Box(10, 20, 30, 40, 0.9), Box(100, 120, 5, 6, 0.5))
    ds = built("sr", (positive(boxes=boxes, segment=None, measurements=()),))
    assert coordinates(tree, ds) == [
        [10, 20, 40, 20, 40, 60, 10, 60, 10, 20],
        [100, 120, 105, 120, 105, 126, 100, 126, 100, 120],
    ]


def test_undetermined_side_has_no_code(built: Built, positive: Make, tree: Tree) -> None:
    assert not tree(built("sr", (positive(side=Side.UNDETERMINED),)), "CODE", "272741003")


@pytest.mark.parametrize(
    ("sr_class", "uid"),
    [
        ("comprehensive", "1.2.840.10008.5.1.4.1.1.88.33"),
        ("comprehensive3d", "1.2.840.10008.5.1.4.1.1.88.34"),
        ("enhanced", "1.2.840.10008.5.1.4.1.1.88.22"),
    ],
)
def test_same_content_in_each_class(
    sr_class: SRClass,
    uid: str,
    source: Callable[..., Dataset],
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
) -> None:
    header = source()
    image = radiograph(header)
    plain = sr.build(ExaminedImage(header, image, (positive(),)), context)
    made = sr.build(
        ExaminedImage(header, image, (positive(),)), replace(context, sr_class=sr_class)
    )
    ds, usual = (pydicom.dcmread(BytesIO(one.content)) for one in (made, plain))
    assert (ds.SOPClassUID, made.sop_class_uid) == (uid, uid)
    assert ds.ContentSequence == usual.ContentSequence
    assert (made.sop_instance_uid == plain.sop_instance_uid) == (sr_class == "comprehensive")


def test_pipelines_share_one_report(
    built: Built, positive: Make, refused: Findings, tree: Tree
) -> None:
    finding = Finding(
        codes.PLEURAL_EFFUSION,
        positive().findings[0].presence,
        0.6,
        positive().findings[0].operating_point,
        codes.PLEURA,
    )
    effusion = Findings(Algorithm("effusion", "2.0", "cd" * 32), (finding,))
    other = replace(refused, algorithm=Algorithm("anatomy", "1.0", ""))
    ds = built("sr", (positive(), effusion, other))
    groups = tree(ds, "CONTAINER", "125007")
    assert len(groups) == 3
    assert len({tree(one, "UIDREF", "112040")[0].UID for one in groups}) == 2
    comments = [one.TextValue for one in tree(ds, "TEXT", "121106")]
    assert "Not analysed by anatomy: lateral view" in comments


def test_refusal_is_a_text_that_says_why(built: Built, refused: Findings, tree: Tree) -> None:
    ds = built("sr", (refused,), lambda header: None)
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"
    said = [one.TextValue for one in tree(ds, "TEXT")]
    assert "Not analysed by pneumothorax: lateral view" in said
    # the same object as the text report, so a route with both sends one
    assert built("text_sr", (refused,), lambda header: None).SOPInstanceUID == ds.SOPInstanceUID


def test_numbers_of_segments_follow_the_seg(built: Built, positive: Make, tree: Tree) -> None:
    first = positive(segment=None)
    second = Findings(Algorithm("effusion", "2.0", "cd" * 32), positive().findings)
    (frame,) = tree(built("sr", (first, second)), "IMAGE", "121214")
    assert frame.ReferencedSOPSequence[0].ReferencedSegmentNumber == 1
    assert seg.segments((first, second)) == [(1, 0)]
