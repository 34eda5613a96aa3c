"""Outlines of a region along the edges of its pixels."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]
"""(row, column) of a pixel's corner; the image's own corner is (0, 0)."""
MOST_POINTS = 4000
"""Per outline: GraphicData has a 16-bit length, 8 bytes a point (PS3.5 7.1.2)."""


def outlines(mask: NDArray[np.bool_]) -> list[list[Point]]:
    """Give closed outlines of all parts and holes, the first point repeated last.

    Only corners are kept; an outline with too many of them keeps every n-th.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    following = _edges(mask[top : rows[-1] + 1, left : columns[-1] + 1], (top, left))
    found = []
    while following:
        start = next(iter(following))
        found.append(_thinned(_corners(_walk(start, following))))
    return found


def _edges(mask: NDArray[np.bool_], corner: Point) -> dict[Point, list[Point]]:
    """Link the corners along the border, the region always on the right hand.

    `corner` is where the mask's first pixel lies in the image.
    """
    top, left = corner
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    links: dict[Point, list[Point]] = defaultdict(list)
    # (row, column) steps from a pixel's upper left corner to an edge's start and end
    for neighbour, start, end in (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (1, 0)),
        (padded[1:-1, :-2], (1, 0), (0, 0)),
    ):
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            y, x = row + top, column + left
            links[y + start[0], x + start[1]].append((y + end[0], x + end[1]))
    return links


def _walk(start: Point, following: dict[Point, list[Point]]) -> list[Point]:
    """Follow one outline until it closes, taking its edges away."""
    path = [start]
    while True:
        choices = following[path[-1]]
        # where two parts touch at a corner, turn right: they stay two outlines
        turn = choices[0] if len(path) < 2 else min(choices, key=lambda to: _left(path, to))
        choices.remove(turn)
        if not choices:
            del following[path[-1]]
        path.append(turn)
        if turn == start:
            return path


def _left(path: list[Point], to: Point) -> int:
    """Say which way a step turns: -1 right, 0 straight on, 1 left."""
    (row, column), (at_row, at_column) = path[-2:]
    ahead = (at_row - row, at_column - column)
    step = (to[0] - at_row, to[1] - at_column)
    return ahead[1] * -step[0] + ahead[0] * step[1]


def _corners(path: list[Point]) -> list[Point]:
    points = np.array(path[:-1])
    turned = (np.roll(points, -1, 0) - points != points - np.roll(points, 1, 0)).any(axis=1)
    kept = [(int(row), int(column)) for row, column in points[turned]]
    return [*kept, kept[0]]


def _thinned(path: list[Point]) -> list[Point]:
    step = -(-len(path) // MOST_POINTS)
    return path if step == 1 else [*path[:-1:step], path[0]]
