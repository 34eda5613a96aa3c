"""Places for words beside what they name, so that none covers another."""

from collections.abc import Iterator, Sequence

Area = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture."""
GAP = 4.0
STEPS = 12
"""How many rows a label may move away from its box."""


def placed(
    boxes: Sequence[Area],
    sizes: Sequence[tuple[float, float]],
    picture: tuple[int, int],
    kept: Sequence[Area] = (),
) -> list[Area]:
    """Give each label of (width, height) a place at its box, inside (width, height).

    The nearest place wins that is not `kept` free: above the box, below it, then further
    away. Where everything is taken the first is used: a covered name is better than none.
    """
    places: list[Area] = []
    for box, size in zip(boxes, sizes, strict=True):
        wanted = [_inside(area, picture) for area in _candidates(box, size)]
        free = (
            one for one in wanted if not any(_overlap(one, other) for other in (*kept, *places))
        )
        places.append(next(free, wanted[0]))
    return places


def _candidates(box: Area, size: tuple[float, float]) -> Iterator[Area]:
    left, top, right, bottom = box
    width, height = size
    for step in range(STEPS):
        away = GAP + step * height
        for x in (left, right - width):
            yield x, top - away - height, x + width, top - away
            yield x, bottom + away, x + width, bottom + away + height


def _inside(area: Area, picture: tuple[int, int]) -> Area:
    left, top, right, bottom = area
    right_by = max(0.0, -left) - max(0.0, right - picture[0])
    down_by = max(0.0, -top) - max(0.0, bottom - picture[1])
    return left + right_by, top + down_by, right + right_by, bottom + down_by


def _overlap(one: Area, other: Area) -> bool:
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]
