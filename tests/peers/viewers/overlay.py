"""What lies over a film on the screen, against what the objects say."""

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from dicom_node.results.colours import CONTOURS
from tests.peers.viewers.viewport import Pixels, fitted

Mask = NDArray[np.bool_]


def overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def masks_of(path: Path, shape: tuple[int, ...]) -> list[Mask]:
    """Give the regions of a SEG where a viewer should show them."""
    ds = pydicom.dcmread(path)
    frames = np.atleast_3d(ds.pixel_array.reshape(-1, ds.Rows, ds.Columns))
    return [fitted(Image.fromarray(one * np.uint8(255)), shape) > 127 for one in frames]


def tint(change: Pixels, where: Mask) -> NDArray[np.float64]:
    """Give the direction in which a region was coloured, grey taken out."""
    mean = change[where].mean(axis=0)
    chroma = mean - mean.mean()
    return np.asarray(chroma / np.linalg.norm(chroma))


def tint_of(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    chroma = np.array(colour) - np.mean(colour)
    return np.asarray(chroma / np.linalg.norm(chroma))


def painted_in(change: Pixels) -> Mask:
    """Give where a viewer painted, from what changed in its pixels."""
    return np.asarray(np.abs(change).max(axis=2) > 8)


def assert_on_the_finding(change: Pixels, seg: Path, outline: Path) -> None:
    """The regions of a SEG in our colours, the first on what a radiologist outlined."""
    painted = painted_in(change)
    regions = masks_of(seg, painted.shape)
    union = np.logical_or.reduce(regions)
    assert overlap(painted, union) > 0.95
    assert overlap(painted[:, ::-1], union) < 0.3, "a mirrored SEG would pass"
    for region, colour in zip(regions, CONTOURS, strict=False):
        assert tint(change, region) @ tint_of(colour) > 0.9

    outlined = Image.open(outline).convert("L")
    radiologist = fitted(outlined.resize((1024, 1024)), painted.shape) > 127
    assert overlap(painted & regions[0], radiologist) > 0.2
    assert radiologist[regions[0]].any()
