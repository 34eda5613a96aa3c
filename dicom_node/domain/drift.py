"""How far scores have moved from what they were."""

from collections.abc import Sequence

import numpy as np

BINS = 10


def population_stability(reference: Sequence[float], live: Sequence[float]) -> float:
    """Compare two samples of a score; 0 is no difference.

    The population stability index over the tenths of the reference: the sum of
    (p - q) ln(p / q). By custom below 0.1 is steady, above 0.25 a shift. Two samples
    of n images from one source differ by about 18 / n by chance. Half an image is
    added to each bin, so that an empty one gives no infinity.
    """
    tenths = np.quantile(np.asarray(reference), np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.unique(tenths)  # a score that many images have makes one bin of several
    shares = []
    for sample in (reference, live):
        counts = np.bincount(np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    before, after = shares
    return float(np.sum((after - before) * np.log(after / before)))
