"""The regions of findings, and how they share segmentations."""

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.work import ObjectKind


def region_of(finding: Finding) -> NDArray[np.bool_] | None:
    """Give the mask to show; None for an absent finding and for an empty mask."""
    if finding.segment is None or finding.presence is Presence.ABSENT:
        return None
    return finding.segment.mask if finding.segment.mask.any() else None


def sharing(findings: tuple[Findings, ...]) -> tuple[tuple[int, ...], ...]:
    """Say by index which pipelines' findings lie in one segmentation.

    All of them, or each pipeline's by itself where a second frame would begin within
    a byte: frames follow each other bit by bit (PS3.5 8.1.1), and viewers shift or
    fray such frames without a word.
    """
    masks = [
        mask
        for answer in findings
        for each in answer.findings
        if (mask := region_of(each)) is not None
    ]
    if len(masks) < 2 or masks[0].size % 8 == 0:
        return (tuple(range(len(findings))),)
    return tuple((index,) for index in range(len(findings)))


def sets_of(kind: ObjectKind, findings: tuple[Findings, ...]) -> tuple[tuple[Findings, ...], ...]:
    """Give the findings of each object of one kind: one tells of all, if it can."""
    if kind != "seg":
        return (findings,)
    return tuple(tuple(findings[index] for index in group) for group in sharing(findings))
