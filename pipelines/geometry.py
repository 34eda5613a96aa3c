"""From a radiograph to the network's input, and back.

Serving and training both come through here, so that the network never sees at
work what it did not see at school. The image is turned to the standard orientation, squeezed into a
square (the public NIH radiographs are square in the same way, whatever their
detector was) and stretched between two percentiles of its own grey levels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.findings import Box
from dicom_node.domain.study import Orientation

DARK_PERCENTILE = 0.5
BRIGHT_PERCENTILE = 99.5
LEAST_CONTRAST = 1e-3
LEAST_SIDE = 64

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How one radiograph lies in the network's square.

    `stored_shape` is (rows, columns) as stored, `standard_shape` after turning
    to the standard orientation; they differ only when the image was transposed.
    """

    stored_shape: tuple[int, int]
    standard_shape: tuple[int, int]
    orientation: Orientation | None

    @property
    def transposed(self) -> bool:
        """Whether stored rows run along the patient's long axis."""
        turn = self.orientation
        return turn is not None and turn.row[:1] in ("H", "F") and turn.column[:1] in ("L", "R")

    def to_stored(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an image from the standard orientation back to stored pixel order."""
        return image if self.orientation is None else self.orientation.from_standard(image)

    def point_to_stored(self, point: Point) -> Point:
        """Turn a standard (row, column) back to stored pixels (SCOORD sense)."""
        if self.orientation is None:
            return point
        return self.orientation.point_from_standard(point, self.stored_shape)


def refuse_empty(pixels: NDArray[np.float32]) -> None:
    """Raise NotAnalysable for an image without content."""
    if pixels.ndim != 2 or min(pixels.shape) < LEAST_SIDE:
        raise NotAnalysable(f"image of {'x'.join(map(str, pixels.shape))} pixels is too small")
    if not np.isfinite(pixels).all():
        raise NotAnalysable("pixels are not finite")
    if float(np.ptp(pixels)) < LEAST_CONTRAST:
        raise NotAnalysable("image has no contrast")


def normalise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch grey levels to 0..1 between two percentiles."""
    dark, bright = np.percentile(image, (DARK_PERCENTILE, BRIGHT_PERCENTILE))
    span = max(float(bright - dark), LEAST_CONTRAST)
    stretched = (image - np.float32(dark)) / np.float32(span)
    return np.asarray(np.clip(stretched, 0.0, 1.0), dtype=np.float32)


def resize(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample to (rows, columns), smoothed where the image shrinks.

    Pillow widens its triangle filter with the scale, so nothing aliases.
    """
    rows, columns = shape
    source = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(source.resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float32)


def square(
    pixels: NDArray[np.float32], orientation: Orientation | None, size: int
) -> tuple[NDArray[np.float32], Geometry]:
    """Bring a radiograph to a normalised (size, size) square in standard orientation, 0..1."""
    standard = pixels if orientation is None else orientation.to_standard(pixels)
    geometry = Geometry(
        (int(pixels.shape[0]), int(pixels.shape[1])),
        (int(standard.shape[0]), int(standard.shape[1])),
        orientation,
    )
    small = resize(np.asarray(standard, dtype=np.float32), (size, size))
    return normalise(small), geometry


def network_input(image: NDArray[np.float32], mean: float, std: float) -> NDArray[np.float32]:
    """Shape a 0..1 square as the network's (1, 1, size, size) input."""
    return ((image - np.float32(mean)) / np.float32(std))[None, None]


def standard_from_network(
    square_map: NDArray[np.float32], geometry: Geometry
) -> NDArray[np.float32]:
    """Stretch a map in network space to the radiograph's size, standard orientation."""
    return resize(square_map, geometry.standard_shape)


def open_square(path: Path, size: int) -> NDArray[np.float32]:
    """Open a picture file as the network's 0..1 square; its view is the standard one."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"), np.float32) / np.float32(255)
    return square(pixels, None, size)[0]


def to_stored(shares: NDArray[np.float32], geometry: Geometry, level: float) -> NDArray[np.bool_]:
    """Draw a map of the network's grid as a mask in stored pixel order."""
    standard = standard_from_network(shares, geometry) > level
    return np.ascontiguousarray(geometry.to_stored(standard), dtype=np.bool_)


def box_to_stored(box: Box, geometry: Geometry) -> Box:
    """Carry a box in shares of the standard image (0..1) to stored pixels."""
    rows, columns = geometry.standard_shape
    corners = [
        geometry.point_to_stored((y * rows, x * columns))
        for y, x in ((box.y, box.x), (box.y + box.height, box.x + box.width))
    ]
    top, bottom = sorted(row for row, _ in corners)
    left, right = sorted(column for _, column in corners)
    return Box(left, top, right - left, bottom - top, box.score)
