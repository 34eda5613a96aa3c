"""Where the lungs lie on the network's grid, for sides, heights and shares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.study import Radiograph
from pipelines.anatomy.outline import LEAST_LUNG
from pipelines.anatomy.pipeline import AnatomyPipeline, grid_outline

Mask = NDArray[np.bool_]

HILUM_OF_FILM = (0.38, 0.52)
"""Where on a frontal film the hila lie when no lungs were outlined: an estimate."""
HILUM_OF_LUNG = (0.40, 0.60)
"""Where between a lung's top and its base the hilum lies: its middle fifth."""
MARGIN = 0.04
"""The chest wall's and the outlines' tolerance, a share of the grid."""


@dataclass(frozen=True, slots=True)
class Thorax:
    """The lungs on the grid, standard orientation; None where none were outlined."""

    right: Mask | None = None
    left: Mask | None = None

    def midline(self, columns: int) -> float:
        """Give the column between the lungs' centres, or the film's middle."""
        if self.right is None or self.left is None:
            return columns / 2
        return sum(float(np.nonzero(lung)[1].mean()) + 0.5 for lung in (self.right, self.left)) / 2

    def halves(self, mask: Mask) -> tuple[Mask, Mask]:
        """Part a mask into what lies on the patient's right and on the left."""
        on_right = np.arange(mask.shape[1]) + 0.5 < self.midline(mask.shape[1])
        return mask & on_right, mask & ~on_right

    def hila(self, mask: Mask) -> tuple[slice, slice]:
        """Give the rows at the height of the right and of the left hilum.

        A lung with what the mask fills beside it: a collapsed lung is no measure.
        """
        rows = mask.shape[0]
        if self.right is None or self.left is None:
            band = slice(*(round(share * rows) for share in HILUM_OF_FILM))
            return band, band
        bands = []
        for lung, filled in zip((self.right, self.left), self.halves(mask), strict=True):
            seen = np.flatnonzero((lung | filled).any(axis=1))
            top, height = int(seen[0]), int(seen[-1]) + 1 - int(seen[0])
            bands.append(slice(*(top + round(share * height) for share in HILUM_OF_LUNG)))
        return bands[0], bands[1]

    def share(self, mask: Mask) -> float | None:
        """Give the mask's share of its hemithorax, 0..1; of the fuller one for both.

        The hemithorax on the image is the outlined lung and the mask together.
        """
        if self.right is None or self.left is None:
            return None
        shares = [
            float(filled.sum() / (lung | filled).sum())
            for lung, filled in zip((self.right, self.left), self.halves(mask), strict=True)
        ]
        return max(shares)

    def holds(self, mask: Mask) -> bool:
        """Say whether at least half of the mask lies in the rib cage."""
        cage = self.cage()
        return cage is None or bool(2 * (mask & cage).sum() >= mask.sum())

    def cage(self) -> Mask | None:
        """Give what lies between the lungs' outer borders, with a margin."""
        if self.right is None or self.left is None:
            return None
        lungs = self.right | self.left
        columns = np.arange(lungs.shape[1])
        first = np.where(lungs, columns, lungs.shape[1]).min(axis=1)[:, None]
        last = np.where(lungs, columns, -1).max(axis=1)[:, None]
        cage = (columns >= first) & (columns <= last)
        reach = max(1, round(MARGIN * lungs.shape[0]))
        return np.asarray(binary_dilation(cage, iterations=reach), np.bool_)


UNKNOWN = Thorax()


def find_thorax(anatomy: AnatomyPipeline | None, radiograph: Radiograph, size: int) -> Thorax:
    """Outline the lungs on a grid of `size` cells; UNKNOWN where that fails."""
    if anatomy is None:
        return UNKNOWN
    try:
        shares, _ = anatomy.regions(radiograph)
    except NotAnalysable:
        return UNKNOWN
    found = grid_outline(shares, anatomy.manifest.mask_threshold)
    if min(found.right_lung.mean(), found.left_lung.mean()) < LEAST_LUNG:
        return UNKNOWN
    cells = (np.arange(size) + 0.5) * shares.shape[1] / size
    grid = np.ix_(cells.astype(int), cells.astype(int))
    return Thorax(found.right_lung[grid], found.left_lung[grid])
