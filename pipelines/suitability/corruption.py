"""Corrupt chest radiographs until they show no whole chest."""

import torch
from torch import Tensor, nn

ZOOM = (0.15, 0.42)
"""Side of a cut-out, as a share of the film: never a whole chest."""
HALF = (0.3, 0.48)


def corrupt(images: Tensor, random: torch.Generator) -> Tensor:
    """Corrupt each image (N, 1, s, s) in one of four ways."""
    made = [_WAYS[number % len(_WAYS)](images, number, random) for number in range(len(images))]
    return torch.stack(made) if made else images


def _uniform(random: torch.Generator, low: float, high: float) -> float:
    return float(torch.rand(1, generator=random)) * (high - low) + low


def _window(image: Tensor, spread: tuple[float, float], centre: tuple[float, float]) -> Tensor:
    """Cut (height, width) around (row, column) out, all -1..1, and stretch it."""
    matrix = torch.tensor([[spread[1], 0.0, centre[1]], [0.0, spread[0], centre[0]]])
    grid = nn.functional.affine_grid(matrix[None], [1, *image.shape], align_corners=False)
    return nn.functional.grid_sample(image[None], grid, align_corners=False)[0]


def _zoomed(images: Tensor, number: int, random: torch.Generator) -> Tensor:
    """Give a detail."""
    side = _uniform(random, *ZOOM)
    shape = side * _uniform(random, 0.7, 1.3)
    reach = 0.95 - side
    centre = (_uniform(random, -reach, reach), _uniform(random, -reach, reach))
    return _window(images[number], (side, shape), centre)


def _half(images: Tensor, number: int, random: torch.Generator) -> Tensor:
    """Give one lung, as wide as the film; sometimes another's lung lies over it."""
    width = _uniform(random, *HALF)
    side = 1.0 if _uniform(random, 0, 1) < 0.5 else -1.0
    height = _uniform(random, 0.7, 1.0)
    centre = (_uniform(random, -0.1, 0.1), side * (0.95 - width))
    found = _window(images[number], (height, width), centre)
    if _uniform(random, 0, 1) < 0.5:
        other = images[(number + 1) % len(images)]
        over = _window(other, (height, width), (centre[0], -centre[1]))
        share = _uniform(random, 0.3, 0.7)
        found = share * found + (1 - share) * over
    return found


def _shuffled(images: Tensor, number: int, random: torch.Generator) -> Tensor:
    """Give the image cut into 2 x 2 or 3 x 3 pieces, in another order."""
    pieces = 2 + int(_uniform(random, 0, 2))
    image = images[number]
    side = image.shape[-1] // pieces
    order = torch.randperm(pieces * pieces, generator=random)
    # A cyclic shift of a random order leaves no piece but by chance where it was.
    if bool((order == torch.arange(len(order))).all()):
        order = order.roll(1)
    found = image.clone()
    for place, piece in enumerate(order.tolist()):
        top, left = side * (place // pieces), side * (place % pieces)
        row, column = side * (piece // pieces), side * (piece % pieces)
        found[:, top : top + side, left : left + side] = image[
            :, row : row + side, column : column + side
        ]
    return found


def _several(images: Tensor, number: int, random: torch.Generator) -> Tensor:
    """Give a sheet of 2 x 2 or 3 x 3 small radiographs."""
    pieces = 2 + int(_uniform(random, 0, 2))
    size = images.shape[-1]
    side = size // pieces
    found = torch.zeros_like(images[number])
    for place in range(pieces * pieces):
        whole = images[int(_uniform(random, 0, len(images) - 0.01))]
        small = nn.functional.interpolate(whole[None], (side, side), mode="area")[0]
        top, left = side * (place // pieces), side * (place % pieces)
        found[:, top : top + side, left : left + side] = small
    return found


_WAYS = (_zoomed, _half, _shuffled, _half, _zoomed, _several)
